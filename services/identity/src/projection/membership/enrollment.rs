//! What enroll tells of devices, folded.

use std::collections::BTreeSet;

use muster_eventlog::Envelope;
use muster_eventlog::project::FoldError;
use muster_proto::enroll::v1 as enroll;
use muster_types::{DeviceId, EnrollmentCode};

use super::{Membership, named};
use crate::domain::rule::{Attribute, Property};
use crate::store::membership::Key;
use crate::wire::{self, kind, survey};

impl Membership {
    pub(super) fn enrollment_changed(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let device = DeviceId::from_uuid(event.stream.id);
        match event.kind.as_str() {
            kind::DEVICE_ONBOARDED => {
                let enroll::DeviceOnboarded { onboarding_token_id: _, key_digest: _, facts, facts_digest: _ } =
                    decoded(event)?;
                self.surveyed(device, facts.as_ref());
                // What enroll tells of later was never said before: nobody manages the device, and it has no tags.
                for property in [self.names.management_type, self.names.tags] {
                    if self.told(device, property) == Some(Attribute::Unknown) {
                        self.tell(device, property, None);
                    }
                }
                self.has_code(device, EnrollmentCode::Pending.as_str());
            }
            kind::FACTS_CHANGED => {
                let enroll::DeviceFactsChanged { facts, facts_digest: _ } = decoded(event)?;
                self.surveyed(device, facts.as_ref());
            }
            kind::ENROLLMENT_PERMITTED => self.has_code(device, EnrollmentCode::Pending.as_str()),
            kind::ENROLLMENT_SUCCEEDED => {
                let succeeded: enroll::EnrollmentSucceeded = decoded(event)?;
                self.managed_by(device, succeeded.managed_by());
                let code = if succeeded.code.is_empty() {
                    EnrollmentCode::Enrolled.as_str()
                } else {
                    &succeeded.code
                };
                self.has_code(device, code);
            }
            kind::ENROLLMENT_REFUSED => {
                let enroll::EnrollmentRefused { reason, message: _, scope_version: _ } = decoded(event)?;
                self.has_code(device, &reason);
            }
            kind::AUTHORITY_CHANGED => {
                let changed: enroll::ManagementAuthorityChanged = decoded(event)?;
                self.managed_by(device, changed.to());
            }
            kind::DEVICE_TAGGED => {
                let enroll::DeviceTagged { added, removed } = decoded(event)?;
                self.tagged(device, added, &removed);
            }
            kind::OFFBOARDING_REQUESTED => self.has_code(device, EnrollmentCode::Offboarding.as_str()),
            _ => {}
        }
        Ok(())
    }

    fn surveyed(&mut self, device: DeviceId, facts: Option<&enroll::DeviceFacts>) {
        for (name, attribute) in facts.map(survey::surveyed).into_iter().flatten() {
            self.tell(device, named(name), attribute);
        }
    }

    fn managed_by(&mut self, device: DeviceId, managed_by: enroll::ManagedBy) {
        self.tell(device, self.names.management_type, survey::managed_by(managed_by));
    }

    fn has_code(&mut self, device: DeviceId, code: &str) {
        self.tell(device, self.names.enrollment_code, Some(Attribute::Text(code.into())));
    }

    fn tagged(&mut self, device: DeviceId, added: Vec<String>, removed: &[String]) {
        let mut tags: BTreeSet<Box<str>> = match self.told(device, self.names.tags) {
            Some(Attribute::Collection(tags)) => tags.into_iter().collect(),
            Some(Attribute::Unknown | Attribute::Bool(_) | Attribute::Text(_)) | None => BTreeSet::new(),
        };
        removed.iter().for_each(|tag| {
            tags.remove(&*tag.to_lowercase());
        });
        tags.extend(added.into_iter().map(|tag| tag.to_lowercase().into_boxed_str()));
        let tags = tags.into_iter().collect::<Box<[_]>>();
        let tags = (!tags.is_empty()).then_some(Attribute::Collection(tags));
        self.tell(device, self.names.tags, tags);
    }

    fn tell(&mut self, device: DeviceId, property: Property, attribute: Option<Attribute>) {
        match self.fleet.index().ordinal(device) {
            Some(ordinal) => {
                self.fleet.tell(ordinal, property, attribute.as_ref());
                self.touched.push(Key::Device(ordinal));
            }
            None => {
                self.drafts.entry(device).or_default().insert(property, attribute);
                self.touched.push(Key::Draft(device));
            }
        }
    }

    /// What was told of a device by enroll.
    pub(super) fn told(&self, device: DeviceId, property: Property) -> Option<Attribute> {
        match self.fleet.index().ordinal(device) {
            Some(ordinal) => self.fleet.index().attribute(ordinal, property),
            None => {
                let draft = self.drafts.get(&device).and_then(|draft| draft.get(&property));
                draft.cloned().unwrap_or(Some(Attribute::Unknown))
            }
        }
    }
}

fn decoded<M: prost::Message + Default>(event: &Envelope) -> Result<M, FoldError> {
    wire::decoded(&event.payload).map_err(|reason| FoldError::new(event, reason))
}
