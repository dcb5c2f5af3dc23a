//! What directories tell of devices, brought together with those that are registered there.

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::FoldError;
use muster_types::{DirectoryDeviceId, TenantId};

use super::Membership;
use crate::domain::directory_device::{DirectoryDevice, Event};
use crate::domain::membership::directory;
use crate::domain::registration::Proven;
use crate::domain::rule::{Attribute, Property};
use crate::store::membership::Key;

/// What a registration in a directory begins with; the directory's id follows, in lower case.
pub(super) const BY_DIRECTORY: &str = "directory:";

impl Membership {
    pub(super) fn directory_told(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let damaged = |reason| FoldError::new(event, reason);
        let id = DirectoryDeviceId::from_uuid(event.stream.id);
        let told = match DirectoryDevice::decode(event).map_err(damaged)? {
            Some(Event::Upserted(record)) => Some(directory::told(&record).into()),
            Some(Event::Removed) => None,
            Some(Event::MatchAmbiguous(_)) | None => return Ok(()),
        };
        match (self.links.find(id), told) {
            (Some(ordinal), told) => self.put(ordinal, told),
            (None, told) => self.keep(id, told),
        }
        Ok(())
    }

    /// Keeps what a directory tells of a device that none here is.
    fn keep(&mut self, id: DirectoryDeviceId, told: Option<Box<[(Property, Attribute)]>>) {
        match told {
            Some(told) => self.unlinked.insert(id, told),
            None => self.unlinked.remove(&id),
        };
        self.touched.push(Key::Record(id));
    }

    /// Notes what a device's registration rests on.
    pub(super) fn registered(&mut self, tenant: TenantId, ordinal: u32, proven: Option<&Proven>) {
        let join_type = proven.map(|proven| &proven.join_type).filter(|join_type| !join_type.is_empty());
        let trust_type = join_type.map(|join_type| Attribute::Text(join_type.clone()));
        self.fleet.tell(ordinal, self.names.trust_type, trust_type.as_ref());
        let in_directory = proven.and_then(|proven| proven.registration.strip_prefix(BY_DIRECTORY));
        let device_id = in_directory.map(|id| Attribute::Text(id.into()));
        let before = self.fleet.index().told_by_directory(ordinal, self.names.device_id);
        if before == device_id && before.is_some() {
            self.enable(ordinal);
            return;
        }
        self.unlink(ordinal);
        self.fleet.tell_by_directory(ordinal, self.names.device_id, device_id.as_ref());
        if let Some(id) = in_directory {
            self.link(DirectoryDeviceId::of(tenant, id), ordinal);
        } else {
            self.enable(ordinal);
        }
    }

    /// Lets a device have what its directory tells. One that had it before, and was removed, has it no longer.
    fn link(&mut self, id: DirectoryDeviceId, ordinal: u32) {
        if let Some(other) = self.links.find(id) {
            self.unlink(other);
            self.fleet.tell_by_directory(other, self.names.device_id, None);
        }
        self.links.insert(id, ordinal);
        let told = self.unlinked.remove(&id);
        self.touched.push(Key::Record(id));
        self.put(ordinal, told);
    }

    /// Takes from a device what its directory told, and keeps that for whoever is next.
    fn unlink(&mut self, ordinal: u32) {
        let Some(id) = self.links.get(ordinal) else { return };
        self.links.remove(ordinal);
        if !self.fleet.index().is_untold(ordinal) {
            let told = tellable().filter_map(|property| {
                Some((property, self.fleet.index().told_by_directory(ordinal, property)?))
            });
            let told = told.collect();
            self.keep(id, Some(told));
        }
        self.put(ordinal, Some(Box::default()));
    }

    /// Puts what a directory tells in the place of what it told; none when it has not told of the device.
    fn put(&mut self, ordinal: u32, told: Option<Box<[(Property, Attribute)]>>) {
        self.touched.push(Key::Device(ordinal));
        self.fleet.set_untold(ordinal, told.is_none());
        let told = told.unwrap_or_default();
        for property in tellable() {
            let attribute = told.iter().find(|(of, _)| *of == property).map(|(_, attribute)| attribute);
            let before = self.fleet.index().told_by_directory(ordinal, property);
            if before.is_some() || attribute.is_some() {
                self.fleet.tell_by_directory(ordinal, property, attribute);
            }
        }
        self.enable(ordinal);
    }

    /// Whether a device is enabled: as its directory says; else until its trust is revoked.
    pub(super) fn enable(&mut self, ordinal: u32) {
        let property = self.names.account_enabled;
        let index = self.fleet.index();
        let enabled = index.told_by_directory(ordinal, property).unwrap_or_else(|| {
            if index.is_untold(ordinal) {
                Attribute::Unknown
            } else {
                Attribute::Bool(!self.revoked.contains(ordinal))
            }
        });
        self.fleet.tell(ordinal, property, Some(&enabled));
    }
}

/// Properties that a directory may tell.
pub(super) fn tellable() -> impl Iterator<Item = Property> {
    Property::all().filter(|property| directory::may_tell(*property))
}
