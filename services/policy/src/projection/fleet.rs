//! The fleet: devices, groups, policies and assignments, folded into what each device shall be set to.
//!
//! Three logs meet here, in no order between them. Membership of an ordinal whose device is not folded yet waits in the
//! group's bitmap; an assignment to a group not yet defined waits for its members; a device that is trusted before its
//! onboarding is folded has an ordinal and no facts. What comes late touches the devices it concerns, and touched
//! devices are resolved again when the run of events is over.

mod device;
mod enrollment;
mod reach;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::identity::v1 as identity;
use muster_types::{
    Aggregate, DeviceId, GroupId, PolicyId, Positions, Service, SettingId, SettingValue, Timestamp,
};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::domain::Origin;
use crate::domain::assignment::{self, Assigned, Assignment, Intent};
use crate::domain::policy::{self, Content, OnUnassign, Policy};
use crate::domain::resolve::{Effective, Facts, InForce};
use crate::metrics::PolicyMetrics;
use crate::store::{self, Key};
use crate::watch::Watches;
use crate::wire::{self, kind};

pub use device::{Device, FactsMark, Gone, Management, Told, facts_mark};
use reach::{Reach, Touched};

/// The view.
#[derive(Debug)]
pub struct Fleet {
    catalogue: &'static Catalogue,
    watches: Watches,
    metrics: PolicyMetrics,
    devices: Vec<Device>,
    by_id: FxHashMap<DeviceId, u32>,
    /// Numbers of devices by ordinal.
    by_ordinal: Vec<u32>,
    /// Ordinals by the facts that matter; devices that are not managed here, or not onboarded yet, are in none.
    classes: BTreeMap<Facts, RoaringBitmap>,
    groups: FxHashMap<GroupId, Group>,
    policies: FxHashMap<PolicyId, PolicyRow>,
    names: BTreeSet<(String, PolicyId)>,
    assignments: BTreeMap<(PolicyId, GroupId), Assigned>,
    by_group: BTreeMap<GroupId, BTreeSet<PolicyId>>,
    /// What was resolved, by what it was resolved from: devices that do not differ share it.
    shared: FxHashMap<Reach, Arc<Effective>>,
    shared_max: usize,
    nothing: Arc<Effective>,
    touched: Vec<Touched>,
    /// Devices to hint whatever they shall be set to: by an admin, or because what they are directed to do changed.
    asked: Vec<(DeviceId, Option<Arc<str>>)>,
}

/// A group as far as policies care.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// Whether identity has defined it.
    pub defined: bool,
    /// Ordinals of its members.
    pub members: RoaringBitmap,
}

/// A policy in its latest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// Name for people.
    pub display_name: String,
    /// Catalogue profile.
    pub profile: String,
    /// What it sets.
    pub settings: BTreeMap<SettingId, SettingValue>,
    /// What becomes of its settings on a device that it no longer reaches.
    pub on_unassign: OnUnassign,
    /// Its revision.
    pub revision: u64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last revised.
    pub update_time: Timestamp,
    /// When it was deleted, if it is: it reaches no device, and its assignments wait.
    pub delete_time: Option<Timestamp>,
    /// Who made the latest revision, as the log writes it.
    pub actor: String,
    /// Why, as they said.
    pub reason: String,
}

impl PolicyRow {
    /// Whether it was not deleted.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.delete_time.is_none()
    }
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
            by_id: FxHashMap::default(),
            by_ordinal: Vec::new(),
            classes: BTreeMap::new(),
            groups: FxHashMap::default(),
            policies: FxHashMap::default(),
            names: BTreeSet::new(),
            assignments: BTreeMap::new(),
            by_group: BTreeMap::new(),
            shared: FxHashMap::default(),
            shared_max: 0,
            nothing: Arc::default(),
            touched: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// A device that was onboarded and is still there.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(*self.by_id.get(&id)? as usize).filter(|device| device.told.is_there())
    }

    /// Why a device is no longer there.
    #[must_use]
    pub fn gone(&self, id: DeviceId) -> Option<Gone> {
        self.devices.get(*self.by_id.get(&id)? as usize)?.told.gone
    }

    /// Of what a device is set to, the settings that stay when it leaves management: all policies that have a part in
    /// their value say so.
    pub fn kept<'a>(&'a self, device: &'a Device) -> impl Iterator<Item = &'a SettingId> {
        let keeps = |policy: &PolicyId| {
            self.policies.get(policy).is_some_and(|row| row.on_unassign == OnUnassign::Keep)
        };
        let kept = move |setting: &&InForce| setting.sources.iter().all(|source| keeps(&source.policy));
        device.effective.settings.iter().filter(kept).map(|setting| &setting.id)
    }

    /// A policy that is there.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> Option<&PolicyRow> {
        self.policies.get(&id).filter(|row| row.is_there())
    }

    /// Policies by name, those that were deleted too, after one (its name and id, should it have another name meanwhile).
    pub fn policies_after(
        &self,
        after: Option<(String, PolicyId)>,
    ) -> impl Iterator<Item = (PolicyId, &PolicyRow)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range((from, Bound::Unbounded));
        names.filter_map(|(_, id)| Some((*id, self.policies.get(id)?)))
    }

    /// Whether another policy than `but` has this name. Names of deleted policies are free.
    #[must_use]
    pub fn name_taken(&self, name: &str, but: Option<PolicyId>) -> bool {
        let first = (name.to_owned(), PolicyId::from_uuid(uuid::Uuid::nil()));
        let named = self.names.range(first..).take_while(|(other, _)| other == name);
        named.into_iter().any(|(_, id)| Some(*id) != but && self.policy(*id).is_some())
    }

    /// Whether identity has defined a group.
    #[must_use]
    pub fn knows_group(&self, id: GroupId) -> bool {
        self.groups.get(&id).is_some_and(|group| group.defined)
    }

    /// A policy's assignments.
    pub fn assignments(&self, policy: PolicyId) -> impl Iterator<Item = (GroupId, &Assigned)> {
        let first = (policy, GroupId::from_uuid(uuid::Uuid::nil()));
        let of_policy = self.assignments.range(first..).take_while(move |((other, _), _)| *other == policy);
        of_policy.map(|((_, group), assigned)| (*group, assigned))
    }

    /// How many devices were onboarded or trusted.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    fn number(&mut self, id: DeviceId) -> u32 {
        let next =
            u32::try_from(self.devices.len()).expect("a view of 4 billion rows does not fit in memory");
        let number = *self.by_id.entry(id).or_insert(next);
        if number == next {
            self.devices.push(Device::new(id, self.nothing.clone()));
        }
        number
    }

    /// Changes what is told of a device and keeps what is found by its facts and ordinal in step.
    fn change(&mut self, id: DeviceId, change: impl FnOnce(&mut Told), event: &Envelope, dirty: &mut Dirty) {
        let number = self.number(id) as usize;
        let before = self.devices[number].told;
        change(&mut self.devices[number].told);
        let after = self.devices[number].told;
        if before.class() != after.class() {
            self.reclass(before.class(), after.class());
            self.touch(after.ordinal.into_iter().collect(), event);
        }
        if before.directions() != after.directions() {
            self.asked.push((id, event.context.traceparent.clone()));
        }
        dirty.mark(store::device_key(id));
    }

    fn reclass(&mut self, before: Option<(Facts, u32)>, after: Option<(Facts, u32)>) {
        if let Some((facts, ordinal)) = before
            && let Some(class) = self.classes.get_mut(&facts)
        {
            class.remove(ordinal);
        }
        if let Some((facts, ordinal)) = after {
            self.classes.entry(facts).or_default().insert(ordinal);
        }
    }

    fn membership(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let identity::GroupMembershipChanged { added, removed } = decoded(event)?;
        let (added, removed) = (bitmap(&added, event)?, bitmap(&removed, event)?);
        let id = GroupId::from_uuid(event.stream.id);
        let members = &mut self.groups.entry(id).or_default().members;
        *members |= &added;
        *members -= &removed;
        if self.by_group.contains_key(&id) {
            self.touch(added | removed, event);
        }
        dirty.mark(store::group_key(id));
        Ok(())
    }

    fn policy_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let id = PolicyId::from_uuid(event.stream.id);
        let decoded = Policy::decode(event).map_err(|reason| FoldError::new(event, reason))?;
        let Some(decoded) = decoded else { return Ok(()) };
        self.touch(self.reached(id), event);
        let unknown = || FoldError::new(event, "the policy was not created");
        match decoded {
            policy::Event::Created { profile, content, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                let Origin { actor, reason, request: _, at } = origin;
                self.names.insert((display_name.clone(), id));
                let row = PolicyRow {
                    display_name,
                    profile,
                    settings,
                    on_unassign,
                    revision: 1,
                    create_time: at,
                    update_time: at,
                    delete_time: None,
                    actor,
                    reason,
                };
                self.policies.insert(id, row);
            }
            policy::Event::Revised { revision, content, rolled_back_to: _, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                let Origin { actor, reason, request: _, at } = origin;
                let row = self.policies.get_mut(&id).ok_or_else(unknown)?;
                self.names.remove(&(row.display_name.clone(), id));
                self.names.insert((display_name.clone(), id));
                row.display_name = display_name;
                row.settings = settings;
                row.on_unassign = on_unassign;
                row.revision = revision;
                row.update_time = at;
                row.actor = actor;
                row.reason = reason;
            }
            policy::Event::Deleted { origin } => {
                self.policies.get_mut(&id).ok_or_else(unknown)?.delete_time = Some(origin.at);
            }
            policy::Event::Undeleted { origin: _ } => {
                self.policies.get_mut(&id).ok_or_else(unknown)?.delete_time = None;
            }
        }
        dirty.mark(store::policy_key(id));
        Ok(())
    }

    fn assignment_changed(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let decoded = Assignment::decode(event).map_err(|reason| FoldError::new(event, reason))?;
        let Some(decoded) = decoded else { return Ok(()) };
        let (policy, group) = match decoded {
            assignment::Event::Assigned { policy, group, tie, at } => {
                self.assign(policy, group, Assigned { tie, at });
                (policy, group)
            }
            assignment::Event::Unassigned { policy, group } => {
                self.unassign(policy, group);
                (policy, group)
            }
        };
        let members = self.groups.get(&group).map(|group| group.members.clone());
        self.touch(members.unwrap_or_default(), event);
        dirty.mark(store::assignment_key(policy, group));
        Ok(())
    }

    fn assign(&mut self, policy: PolicyId, group: GroupId, assigned: Assigned) {
        self.assignments.insert((policy, group), assigned);
        self.by_group.entry(group).or_default().insert(policy);
    }

    fn unassign(&mut self, policy: PolicyId, group: GroupId) {
        self.assignments.remove(&(policy, group));
        if let Some(policies) = self.by_group.get_mut(&group) {
            policies.remove(&policy);
            if policies.is_empty() {
                self.by_group.remove(&group);
            }
        }
    }

    /// Members of all groups a policy is assigned to, in or out.
    fn reached(&self, policy: PolicyId) -> RoaringBitmap {
        let groups = self.assignments(policy).filter_map(|(group, _)| self.groups.get(&group));
        groups.fold(RoaringBitmap::new(), |reached, group| reached | &group.members)
    }

    fn intent(&self, policy: PolicyId, group: GroupId) -> Option<Intent> {
        self.assignments.get(&(policy, group)).map(|assigned| assigned.tie.intent)
    }
}

fn device_of(event: &Envelope) -> DeviceId {
    DeviceId::from_uuid(event.stream.id)
}

fn decoded<M: prost::Message + Default>(event: &Envelope) -> Result<M, FoldError> {
    wire::decoded(event).map_err(|reason| FoldError::new(event, reason))
}

fn bitmap(bytes: &[u8], event: &Envelope) -> Result<RoaringBitmap, FoldError> {
    if bytes.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    RoaringBitmap::deserialize_from(bytes).map_err(|error| FoldError::new(event, error.to_string()))
}

impl View for Fleet {
    const NAME: &'static str = "fleet";
    const CONTRACT: u32 = 3;
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity, Service::Policy];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        match (event.stream.aggregate, event.kind.as_str()) {
            (Aggregate::Policy, _) => self.policy_changed(event, dirty),
            (Aggregate::Assignment, _) => self.assignment_changed(event, dirty),
            (_, kind::SYNC_REQUESTED) => {
                self.asked.push((device_of(event), event.context.traceparent.clone()));
                Ok(())
            }
            (_, kind::GROUP_DEFINED | kind::GROUP_DELETED) => {
                let id = GroupId::from_uuid(event.stream.id);
                self.groups.entry(id).or_default().defined = event.kind.as_str() == kind::GROUP_DEFINED;
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
        self.devices.iter().for_each(|device| row(&store::device_key(device.id)));
        self.groups.keys().for_each(|id| row(&store::group_key(*id)));
        self.policies.keys().for_each(|id| row(&store::policy_key(*id)));
        self.assignments.keys().for_each(|(policy, group)| row(&store::assignment_key(*policy, *group)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        match store::read_key(key)? {
            Key::Device(id) => {
                self.by_id.get(&id).map(|number| store::encode_device(&self.devices[*number as usize].told))
            }
            Key::Group(id) => self.groups.get(&id).map(store::encode_group),
            Key::Policy(id) => self.policies.get(&id).map(store::encode_policy),
            Key::Assignment(policy, group) => {
                self.assignments.get(&(policy, group)).map(store::encode_assignment)
            }
        }
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.load(key, value)
    }

    fn loaded(&mut self, _positions: &Positions) {
        self.resolve_all();
    }
}
