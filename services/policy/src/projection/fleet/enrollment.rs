//! What enroll and identity tell of devices, folded.

use muster_catalog::{Platform, RulesAsOf, TamperLock};
use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError};
use muster_proto::convert::moment;
use muster_proto::enroll::v1 as enroll;
use muster_types::EnrollmentCode;

use super::device::facts_mark;
use super::{AgentVersion, Fleet, Gone, Management, Told, decoded, device_of};
use crate::store;
use crate::wire::kind;

/// Id of the security product that the catalogue's settings are for.
const PRODUCT: &str = "mdatp";

impl Fleet {
    /// Folds which edition of the rules holds: a change concerns every device.
    pub(super) fn scope_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let enroll::EnforcementScopeChanged { enforcement_scope } = decoded(event)?;
        if self.tables.set_rules(rules_of(enforcement_scope, event)?) {
            self.touch(self.everyone(), event);
            dirty.mark(store::rules_key());
        }
        Ok(())
    }

    /// Folds an event of a device's enrollment or registration; one of another kind is skipped.
    pub(super) fn device_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.kind.as_str() == kind::TRUST_ESTABLISHED {
            self.trusted(event, dirty);
            return Ok(());
        }
        let id = device_of(event);
        let mut after = self.find(id).map(|device| device.told).unwrap_or_default();
        if after.follow(event)? {
            self.change(id, |told| *told = after, event, dirty);
        }
        Ok(())
    }

    /// The first trust in a device gives it its ordinal; later ones change nothing here.
    fn trusted(&mut self, event: &Envelope, dirty: &mut Dirty) {
        let id = device_of(event);
        let number = self.number(id);
        if self.devices[number as usize].told.ordinal.is_none() {
            let ordinal =
                u32::try_from(self.by_ordinal.len()).expect("there are no more ordinals than devices");
            self.by_ordinal.push(number);
            self.results.grow(self.by_ordinal.len());
            self.change(id, |told| told.ordinal = Some(ordinal), event, dirty);
            self.name_in_waivers(id, ordinal);
        }
    }
}

/// Which edition of the rules an enforcement scope names.
pub(in crate::projection) fn rules_of(
    scope: Option<enroll::EnforcementScope>,
    event: &Envelope,
) -> Result<RulesAsOf, FoldError> {
    let scope = scope.ok_or_else(|| FoldError::new(event, "enforcement_scope: must be set"))?;
    Ok(match scope.rules_as_of() {
        enroll::RulesAsOf::RulesAsOf202309 => RulesAsOf::September2023,
        enroll::RulesAsOf::Unspecified | enroll::RulesAsOf::Current => RulesAsOf::Current,
    })
}

impl Told {
    /// Folds an event of the device's enrollment or registration, but for its ordinal, which all devices' events give;
    /// whether the event is of a kind that tells something here.
    ///
    /// # Errors
    /// [`FoldError`] when the event is damaged.
    pub fn follow(&mut self, event: &Envelope) -> Result<bool, FoldError> {
        match event.kind.as_str() {
            kind::DEVICE_ONBOARDED => {
                let enroll::DeviceOnboarded { onboarding_token_id: _, key_digest: _, facts, facts_digest } =
                    decoded(event)?;
                self.surveyed(facts, &facts_digest, event)?;
                self.came_in();
            }
            kind::FACTS_CHANGED => {
                let enroll::DeviceFactsChanged { facts, facts_digest } = decoded(event)?;
                self.surveyed(facts, &facts_digest, event)?;
            }
            kind::ENROLLMENT_PERMITTED => self.came_in(),
            kind::ENROLLMENT_SUCCEEDED => {
                let succeeded: enroll::EnrollmentSucceeded = decoded(event)?;
                self.management = management(succeeded.managed_by(), &succeeded.code);
            }
            kind::ENROLLMENT_REFUSED => {
                let enroll::EnrollmentRefused { reason, message: _, scope_version: _ } = decoded(event)?;
                self.management = Management::Elsewhere(code(&reason));
            }
            kind::AUTHORITY_CHANGED => {
                let changed: enroll::ManagementAuthorityChanged = decoded(event)?;
                self.management = management(changed.to(), &changed.code);
            }
            kind::OFFBOARDING_REQUESTED => {
                let enroll::DeviceOffboardingRequested { expire_time } = decoded(event)?;
                self.offboarding = expire_time.map(moment);
            }
            kind::DEVICE_OFFBOARDED => self.went(Gone::Offboarded),
            kind::DEVICE_DELETED => self.went(Gone::Deleted),
            kind::DEVICE_MERGED => self.went(Gone::Merged),
            kind::CLONE_SUSPECTED => self.quarantined = true,
            // A revocation resolves nothing: the device is in quarantine again once it is trusted again.
            kind::CLONE_RESOLVED | kind::REGISTRATION_REMOVED => self.quarantined = false,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn surveyed(
        &mut self,
        facts: Option<enroll::DeviceFacts>,
        digest: &[u8],
        event: &Envelope,
    ) -> Result<(), FoldError> {
        let facts = facts.ok_or_else(|| FoldError::new(event, "facts: must be set"))?;
        self.platform = Some(match facts.platform() {
            enroll::Platform::Unspecified => return Err(FoldError::new(event, "platform: must be set")),
            enroll::Platform::Windows => Platform::Windows,
            enroll::Platform::Linux => Platform::Linux,
            enroll::Platform::Macos => Platform::Macos,
        });
        self.facts = facts_mark(digest);
        self.domain_controller = facts.domain_role() == enroll::DomainRole::DomainController;
        self.agent = agent(&facts);
        self.tamper = tamper(&facts);
        Ok(())
    }

    /// A device that comes in begins anew, whatever it was before.
    const fn came_in(&mut self) {
        self.gone = None;
        self.offboarding = None;
        self.management = Management::Undecided;
    }

    const fn went(&mut self, gone: Gone) {
        self.gone = Some(gone);
        self.offboarding = None;
    }
}

/// Version of the security product that the catalogue's settings are for.
fn agent(facts: &enroll::DeviceFacts) -> AgentVersion {
    let product = facts.security_products.iter().find(|product| product.id == PRODUCT);
    product.map(|product| AgentVersion::read(&product.version)).unwrap_or_default()
}

fn tamper(facts: &enroll::DeviceFacts) -> TamperLock {
    match facts.tamper_protection() {
        enroll::TamperProtection::Unspecified => TamperLock::Unknown,
        enroll::TamperProtection::Off | enroll::TamperProtection::NotApplicable => TamperLock::Off,
        enroll::TamperProtection::On => TamperLock::On,
        enroll::TamperProtection::OnWithExclusions => TamperLock::OnWithExclusions,
    }
}

fn management(managed_by: enroll::ManagedBy, by_code: &str) -> Management {
    match managed_by {
        enroll::ManagedBy::Unspecified | enroll::ManagedBy::Muster => Management::Here,
        enroll::ManagedBy::Mdm | enroll::ManagedBy::ConfigMgr | enroll::ManagedBy::Nobody => {
            Management::Elsewhere(code(by_code))
        }
    }
}

/// A code of a later version is not known here; the device stands down all the same.
fn code(text: &str) -> EnrollmentCode {
    text.parse().unwrap_or(EnrollmentCode::GeneralError)
}
