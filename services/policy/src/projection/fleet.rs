//! The fleet: devices, groups, policies, assignments and waivers, folded into what each device shall be set to.
//!
//! Three logs meet here, in no order between them. Membership of an ordinal whose device is not folded yet waits in the
//! group's bitmap; an assignment to a group not yet defined waits for its members; a waiver waits for its device; a device
//! that is trusted before its onboarding is folded has an ordinal and no facts. What comes late touches the devices it
//! concerns, and touched devices are resolved again when the run of events is over.

mod agent;
mod authoring;
mod device;
mod enrollment;
mod moves;
mod reading;
mod resolving;
mod results;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use muster_catalog::Catalogue;
use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, DeviceId, GroupId, PolicyId, Positions, Service, Timestamp, WaiverId};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::domain::check_in_settings::Values;
use crate::domain::resolve::{Facts, Tables};
use crate::domain::waiver;
use crate::metrics::PolicyMetrics;
use crate::store;
use crate::watch::Watches;
use crate::wire::{self, kind};

pub use crate::domain::resolve::PolicyRow;
pub use agent::AgentVersion;
pub use device::{Device, FactsMark, Gone, Management, Told, facts_mark};
pub(super) use enrollment::rules_of;
use moves::Moves;
pub use moves::{Moved, Outcomes};
use resolving::Touched;
use results::Results;

/// The view.
#[derive(Debug)]
pub struct Fleet {
    catalogue: &'static Catalogue,
    watches: Watches,
    metrics: PolicyMetrics,
    devices: Vec<Device>,
    /// Numbers of devices: rows are asked whether it is theirs.
    by_id: HashTable<u32>,
    /// Numbers of devices by ordinal.
    by_ordinal: Vec<u32>,
    tables: Tables,
    results: Results,
    /// Groups that identity has defined.
    defined: FxHashSet<GroupId>,
    /// Names of policies, deleted ones too.
    names: BTreeSet<(String, PolicyId)>,
    waivers: BTreeMap<WaiverId, waiver::Known>,
    /// When active waivers end by themselves.
    expiries: BTreeSet<(Timestamp, WaiverId)>,
    /// Active waivers of single devices.
    device_waivers: FxHashMap<DeviceId, BTreeSet<WaiverId>>,
    check_ins: CheckIns,
    touched: Vec<Touched>,
    asked: Vec<Touched>,
    moves: Mutex<Moves>,
    /// When the latest event was decided that this process folded.
    latest: Option<Timestamp>,
}

/// A group as far as policies care.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// Whether identity has defined it.
    pub defined: bool,
    /// Ordinals of its members.
    pub members: RoaringBitmap,
}

/// How devices check in, as it was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckIns {
    /// The values that hold.
    pub values: Values,
    /// How often they were changed.
    pub changes: u64,
    /// When they were last changed; none while the defaults hold.
    pub update_time: Option<Timestamp>,
}

impl Fleet {
    /// No device.
    #[must_use]
    pub fn new(catalogue: &'static Catalogue, watches: Watches, metrics: PolicyMetrics) -> Self {
        Self {
            catalogue,
            watches,
            metrics,
            devices: Vec::new(),
            by_id: HashTable::new(),
            by_ordinal: Vec::new(),
            tables: Tables::default(),
            results: Results::default(),
            defined: FxHashSet::default(),
            names: BTreeSet::new(),
            waivers: BTreeMap::new(),
            expiries: BTreeSet::new(),
            device_waivers: FxHashMap::default(),
            check_ins: CheckIns::default(),
            touched: Vec::new(),
            asked: Vec::new(),
            moves: Mutex::default(),
            latest: None,
        }
    }

    fn find(&self, id: DeviceId) -> Option<&Device> {
        let is = |number: &u32| self.devices[*number as usize].id == id;
        self.by_id.find(hash(id), is).map(|number| &self.devices[*number as usize])
    }

    fn facts_of(&self, told: &Told) -> Option<Facts> {
        told.facts(self.catalogue, self.tables.rules())
    }

    fn number(&mut self, id: DeviceId) -> u32 {
        let Self { devices, by_id, .. } = self;
        if let Some(number) = by_id.find(hash(id), |number| devices[*number as usize].id == id) {
            return *number;
        }
        let number = u32::try_from(devices.len()).expect("a view of 4 billion rows does not fit in memory");
        devices.push(Device::new(id));
        by_id.insert_unique(hash(id), number, |number| hash(devices[*number as usize].id));
        number
    }

    /// Changes what is told of a device and keeps what is found by its facts and ordinal in step.
    fn change(&mut self, id: DeviceId, change: impl FnOnce(&mut Told), event: &Envelope, dirty: &mut Dirty) {
        let number = self.number(id) as usize;
        let before = self.devices[number].told;
        change(&mut self.devices[number].told);
        let after = self.devices[number].told;
        dirty.mark(store::device_key(id));
        if before == after {
            return;
        }
        let Some(ordinal) = after.ordinal else { return };
        let class = |told: &Told| told.ordinal.and_then(|_| self.facts_of(told));
        let (old, new) = (class(&before), class(&after));
        let at = || RoaringBitmap::from_iter([ordinal]);
        if old != new {
            self.tables.reclass(ordinal, old, new);
            self.touch(at(), event);
        }
        if before.directions() != after.directions() {
            self.ask(at(), event);
        }
    }

    fn membership(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let identity::GroupMembershipChanged { added, removed } = decoded(event)?;
        let (added, removed) = (bitmap(&added, event)?, bitmap(&removed, event)?);
        let id = GroupId::from_uuid(event.stream.id);
        let members = self.tables.members_mut(id);
        *members |= &added;
        *members -= &removed;
        if self.tables.is_targeted(id) {
            self.touch(added | removed, event);
        }
        dirty.mark(store::group_key(id));
        Ok(())
    }

    fn sync_requested(&mut self, event: &Envelope) -> Result<(), FoldError> {
        let ordinals = if event.kind.as_str() == kind::SYNC_REQUESTED {
            self.ordinal(device_of(event)).into_iter().collect()
        } else {
            let pb::DevicesSyncRequested { devices } = decoded(event)?;
            bitmap(&devices, event)?
        };
        self.ask(ordinals, event);
        Ok(())
    }
}

fn hash(id: DeviceId) -> u64 {
    FxBuildHasher.hash_one(id)
}

fn device_of(event: &Envelope) -> DeviceId {
    DeviceId::from_uuid(event.stream.id)
}

pub(super) fn decoded<M: prost::Message + Default>(event: &Envelope) -> Result<M, FoldError> {
    wire::decoded(event).map_err(|reason| FoldError::new(event, reason))
}

pub(super) fn bitmap(bytes: &[u8], event: &Envelope) -> Result<RoaringBitmap, FoldError> {
    wire::bitmap(bytes).map_err(|reason| FoldError::new(event, reason))
}

impl View for Fleet {
    const NAME: &'static str = "fleet";
    const CONTRACT: u32 = 3;
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity, Service::Policy];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        self.latest = self.latest.max(Some(event.context.time));
        match (event.stream.aggregate, event.kind.as_str()) {
            (Aggregate::Policy, _) => self.policy_changed(event, dirty),
            (Aggregate::Assignment, _) => self.assignment_changed(event, dirty),
            (Aggregate::Waiver, _) => self.waiver_changed(event, dirty),
            (Aggregate::CheckInSettings, _) => self.check_ins_changed(event, dirty),
            (Aggregate::Sync, _) => self.sync_requested(event),
            (_, kind::SCOPE_CHANGED) => self.scope_changed(event, dirty),
            (_, kind::GROUP_DEFINED | kind::GROUP_DELETED) => {
                let id = GroupId::from_uuid(event.stream.id);
                self.define(id, event.kind.as_str() == kind::GROUP_DEFINED);
                dirty.mark(store::group_key(id));
                Ok(())
            }
            (_, kind::MEMBERSHIP_CHANGED) => self.membership(event, dirty),
            (Aggregate::Enrollment | Aggregate::Registration, _) => self.device_changed(event, dirty),
            _ => Ok(()),
        }
    }

    fn settle(&mut self, _positions: &Positions, _dirty: &mut Dirty) {
        self.resolve_touched();
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.each_key(row);
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.encode(store::read_key(key)?)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.load(key, value)
    }

    fn loaded(&mut self, _positions: &Positions) {
        self.resolve_all();
    }

    fn detach(&mut self) {
        self.metrics = PolicyMetrics::default();
        self.watches = Watches::new(self.metrics.clone());
    }
}
