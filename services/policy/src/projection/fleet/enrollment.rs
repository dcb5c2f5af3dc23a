//! What enroll and identity tell of devices, folded.

use muster_catalog::{Platform, RulesAsOf, TamperLock};
use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError};
use muster_proto::convert::moment;
use muster_proto::enroll::v1 as enroll;
use muster_types::EnrollmentCode;

use super::device::facts_mark;
use super::{AgentVersion, Fleet, Gone, Management, decoded, device_of};
use crate::store;
use crate::wire::kind;

/// Id of the security product that the catalogue's settings are for.
const PRODUCT: &str = "mdatp";

impl Fleet {
    /// Folds which edition of the rules holds: a change concerns every device.
    pub(super) fn scope_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let enroll::EnforcementScopeChanged { enforcement_scope } = decoded(event)?;
        let scope =
            enforcement_scope.ok_or_else(|| FoldError::new(event, "enforcement_scope: must be set"))?;
        let rules = match scope.rules_as_of() {
            enroll::RulesAsOf::RulesAsOf202309 => RulesAsOf::September2023,
            enroll::RulesAsOf::Unspecified | enroll::RulesAsOf::Current => RulesAsOf::Current,
        };
        if self.tables.set_rules(rules) {
            self.touch(self.everyone(), event);
            dirty.mark(store::rules_key());
        }
        Ok(())
    }

    /// Folds an event of a device's enrollment or registration; one of another kind is skipped.
    pub(super) fn device_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        match event.kind.as_str() {
            kind::DEVICE_ONBOARDED => {
                let enroll::DeviceOnboarded { onboarding_token_id: _, key_digest: _, facts, facts_digest } =
                    decoded(event)?;
                self.surveyed(facts, &facts_digest, event, dirty)?;
                self.came_in(event, dirty);
            }
            kind::FACTS_CHANGED => {
                let enroll::DeviceFactsChanged { facts, facts_digest } = decoded(event)?;
                self.surveyed(facts, &facts_digest, event, dirty)?;
            }
            kind::ENROLLMENT_PERMITTED => self.came_in(event, dirty),
            kind::ENROLLMENT_SUCCEEDED => {
                let succeeded: enroll::EnrollmentSucceeded = decoded(event)?;
                self.managed(management(succeeded.managed_by(), &succeeded.code), event, dirty);
            }
            kind::ENROLLMENT_REFUSED => {
                let enroll::EnrollmentRefused { reason, message: _, scope_version: _ } = decoded(event)?;
                self.managed(Management::Elsewhere(code(&reason)), event, dirty);
            }
            kind::AUTHORITY_CHANGED => {
                let changed: enroll::ManagementAuthorityChanged = decoded(event)?;
                self.managed(management(changed.to(), &changed.code), event, dirty);
            }
            kind::OFFBOARDING_REQUESTED => {
                let enroll::DeviceOffboardingRequested { expire_time } = decoded(event)?;
                let expire = expire_time.map(moment);
                self.change(device_of(event), |told| told.offboarding = expire, event, dirty);
            }
            kind::DEVICE_OFFBOARDED => self.went(Gone::Offboarded, event, dirty),
            kind::DEVICE_DELETED => self.went(Gone::Deleted, event, dirty),
            kind::DEVICE_MERGED => self.went(Gone::Merged, event, dirty),
            kind::TRUST_ESTABLISHED => self.trusted(event, dirty),
            kind::CLONE_SUSPECTED => self.quarantine(true, event, dirty),
            // A revocation resolves nothing: the device is in quarantine again once it is trusted again.
            kind::CLONE_RESOLVED | kind::REGISTRATION_REMOVED => self.quarantine(false, event, dirty),
            _ => {}
        }
        Ok(())
    }

    fn surveyed(
        &mut self,
        facts: Option<enroll::DeviceFacts>,
        digest: &[u8],
        event: &Envelope,
        dirty: &mut Dirty,
    ) -> Result<(), FoldError> {
        let facts = facts.ok_or_else(|| FoldError::new(event, "facts: must be set"))?;
        let platform = match facts.platform() {
            enroll::Platform::Unspecified => return Err(FoldError::new(event, "platform: must be set")),
            enroll::Platform::Windows => Platform::Windows,
            enroll::Platform::Linux => Platform::Linux,
            enroll::Platform::Macos => Platform::Macos,
        };
        let mark = facts_mark(digest);
        let surveyed = |told: &mut super::Told| {
            told.platform = Some(platform);
            told.facts = mark;
            told.domain_controller = facts.domain_role() == enroll::DomainRole::DomainController;
            told.agent = agent(&facts);
            told.tamper = tamper(&facts);
        };
        self.change(device_of(event), surveyed, event, dirty);
        Ok(())
    }

    /// A device that comes in begins anew, whatever it was before.
    fn came_in(&mut self, event: &Envelope, dirty: &mut Dirty) {
        let came_in = |told: &mut super::Told| {
            told.gone = None;
            told.offboarding = None;
            told.management = Management::Undecided;
        };
        self.change(device_of(event), came_in, event, dirty);
    }

    fn went(&mut self, gone: Gone, event: &Envelope, dirty: &mut Dirty) {
        let went = |told: &mut super::Told| {
            told.gone = Some(gone);
            told.offboarding = None;
        };
        self.change(device_of(event), went, event, dirty);
    }

    fn managed(&mut self, management: Management, event: &Envelope, dirty: &mut Dirty) {
        self.change(device_of(event), |told| told.management = management, event, dirty);
    }

    fn quarantine(&mut self, quarantined: bool, event: &Envelope, dirty: &mut Dirty) {
        self.change(device_of(event), |told| told.quarantined = quarantined, event, dirty);
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
