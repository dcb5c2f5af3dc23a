//! What is known of all devices, and the rules of dynamic groups: what enroll, registrations and directories tell, folded
//! into the index that rules are asked of.
//!
//! Two logs meet here, in no order between them: what enroll tells of a device that nobody trusted yet waits as a draft,
//! and what a directory tells of a device that nobody registered yet waits as a record.

pub mod alone;
mod directory;
mod enrollment;
mod links;
mod marked;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, DeviceId, DirectoryDeviceId, GroupId, Positions, Service};
use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::group::{Event as GroupEvent, Group};
use crate::domain::membership::Fleet;
use crate::domain::registration::{Event as RegistrationEvent, Registration, Resolution};
use crate::domain::rule::{Attribute, Property, Rule};

use crate::store::membership::Key;
use links::Links;

pub use marked::Marked;

/// The view.
#[derive(Debug)]
pub struct Membership {
    fleet: Fleet,
    names: Names,
    /// What enroll told of devices that have no ordinal yet.
    drafts: FxHashMap<DeviceId, BTreeMap<Property, Option<Attribute>>>,
    links: Links,
    /// What a directory told of devices that none here is.
    unlinked: FxHashMap<DirectoryDeviceId, Box<[(Property, Attribute)]>>,
    /// Devices whose certificates were ended.
    revoked: RoaringBitmap,
    /// All that are there, static ones too.
    groups: FxHashSet<GroupId>,
    /// Rows that the event at hand changed.
    touched: Vec<Key>,
    marked: Arc<Marked>,
}

/// Properties that are told one by one.
#[derive(Debug, Clone, Copy)]
struct Names {
    account_enabled: Property,
    device_id: Property,
    enrollment_code: Property,
    management_type: Property,
    tags: Property,
    trust_type: Property,
}

fn named(name: &str) -> Property {
    Property::named(name).expect("it is one of the language's properties")
}

impl Membership {
    /// No device and no rule. What has to be asked again is told to `marked`, once it is followed.
    #[must_use]
    pub fn new(marked: Arc<Marked>) -> Self {
        let names = Names {
            account_enabled: named("accountEnabled"),
            device_id: named("deviceId"),
            enrollment_code: named("enrollmentCode"),
            management_type: named("managementType"),
            tags: named("tags"),
            trust_type: named("deviceTrustType"),
        };
        Self {
            fleet: Fleet::default(),
            names,
            drafts: FxHashMap::default(),
            links: Links::default(),
            unlinked: FxHashMap::default(),
            revoked: RoaringBitmap::new(),
            groups: FxHashSet::default(),
            touched: Vec::new(),
            marked,
        }
    }

    /// What is known of devices, and the rules.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Bytes that the view takes for devices that were ever trusted, without what the allocator adds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.fleet.index().size_bytes() + self.links.size_bytes() + self.revoked.serialized_size()
    }

    fn registration_changed(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let damaged = |reason| FoldError::new(event, reason);
        let Some(change) = Registration::decode(event).map_err(damaged)? else { return Ok(()) };
        let device = DeviceId::from_uuid(event.stream.id);
        let known = self.fleet.index().ordinal(device);
        self.touched.extend(known.map(Key::Device));
        match change {
            RegistrationEvent::TrustEstablished { proven, .. } => {
                let ordinal = self.admit(device);
                self.revoked.remove(ordinal);
                self.registered(event.stream.tenant, ordinal, proven.as_ref());
                self.fleet.set_present(ordinal, true);
            }
            RegistrationEvent::RegistrationPromoted(proven) => {
                if let Some(ordinal) = known {
                    self.registered(event.stream.tenant, ordinal, Some(&proven));
                }
            }
            RegistrationEvent::RegistrationRemoved(_) => {
                if let Some(ordinal) = known {
                    self.fleet.set_present(ordinal, false);
                }
            }
            RegistrationEvent::TrustRevoked { .. }
            | RegistrationEvent::CloneResolved { resolution: Resolution::Reissue, .. } => {
                if let Some(ordinal) = known {
                    self.revoked.insert(ordinal);
                    self.enable(ordinal);
                }
            }
            RegistrationEvent::TrustRenewed(_)
            | RegistrationEvent::CertificateActivated(_)
            | RegistrationEvent::CloneSuspected { .. }
            | RegistrationEvent::CloneResolved { resolution: Resolution::Dismiss, .. } => {}
        }
        Ok(())
    }

    /// A device's ordinal; the next one, with what enroll told of it, for a device that has none.
    fn admit(&mut self, device: DeviceId) -> u32 {
        let ordinal = self.fleet.admit(device);
        self.touched.extend([Key::Device(ordinal), Key::Draft(device)]);
        for (property, attribute) in self.drafts.remove(&device).unwrap_or_default() {
            self.fleet.tell(ordinal, property, attribute.as_ref());
        }
        ordinal
    }

    fn group_changed(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let damaged = |reason| FoldError::new(event, reason);
        let Some(change) = Group::decode(event).map_err(damaged)? else { return Ok(()) };
        let id = GroupId::from_uuid(event.stream.id);
        self.touched.push(Key::Group(id));
        self.groups.insert(id);
        match change {
            GroupEvent::Defined { rule: None, .. } => {}
            GroupEvent::Defined { rule: Some(rule), .. } | GroupEvent::RuleChanged { rule } => {
                let rule = Rule::parse(&rule).map_err(|error| FoldError::new(event, error.to_string()))?;
                self.fleet.define(id, rule);
            }
            GroupEvent::MembershipChanged { .. } if self.fleet.rules().get(id).is_some() => {}
            GroupEvent::MembershipChanged { added, removed, at: _ } => {
                self.fleet.members_changed(id, &added, &removed);
            }
            GroupEvent::Deleted => {
                self.groups.remove(&id);
                self.fleet.forget(id);
            }
        }
        Ok(())
    }
}

impl View for Membership {
    const NAME: &'static str = "membership";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if self.marked.is_followed() {
            self.fleet.follow();
        }
        let folded = match event.stream.aggregate {
            Aggregate::Enrollment => self.enrollment_changed(event),
            Aggregate::Registration => self.registration_changed(event),
            Aggregate::DirectoryDevice => self.directory_told(event),
            Aggregate::Group => self.group_changed(event),
            Aggregate::OnboardingToken
            | Aggregate::Policy
            | Aggregate::Assignment
            | Aggregate::Sync
            | Aggregate::DeviceStatus
            | Aggregate::TenantSettings
            | Aggregate::TrustAnchor
            | Aggregate::Session
            | Aggregate::Presence
            | Aggregate::Waiver
            | Aggregate::CheckInSettings
            | Aggregate::Resolution
            | Aggregate::Delivery
            | Aggregate::ReportSettings => Ok(()),
        };
        self.touched.drain(..).for_each(|key| key.with_bytes(|key| dirty.mark(key)));
        folded
    }

    fn settle(&mut self, _positions: &Positions, _dirty: &mut Dirty) {
        self.marked.add(self.fleet.take_marks());
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.keys(&mut |key| key.with_bytes(&mut *row));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.encode(Key::read(key)?)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.load(Key::read(key).ok_or("not the key of a row")?, value)
    }

    fn detach(&mut self) {
        self.marked = Arc::default();
    }
}
