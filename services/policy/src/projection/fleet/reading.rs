//! What the view is asked.

use std::ops::Bound;
use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_types::{DeviceId, GroupId, PolicyId, SettingId, Timestamp, WaiverId};
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{CheckIns, Device, Fleet, Gone, PolicyRow};
use crate::domain::assignment::Assigned;
use crate::domain::policy::OnUnassign;
use crate::domain::resolve::{Effective, Facts, InForce, Tables};
use crate::domain::waiver;
use crate::metrics::PolicyMetrics;

impl Fleet {
    /// The tables that say what reaches whom; a copy is what a plan changes and compares.
    #[must_use]
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The catalogue that devices are resolved by.
    #[must_use]
    pub const fn catalogue(&self) -> &'static Catalogue {
        self.catalogue
    }

    /// A device that was onboarded and is still there.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.find(id).filter(|device| device.told.is_there())
    }

    /// Why a device is no longer there.
    #[must_use]
    pub fn gone(&self, id: DeviceId) -> Option<Gone> {
        self.find(id)?.told.gone
    }

    /// A device's place in bitmaps, once it is trusted.
    #[must_use]
    pub fn ordinal(&self, id: DeviceId) -> Option<u32> {
        self.find(id)?.told.ordinal
    }

    /// The device with an ordinal, whatever became of it.
    #[must_use]
    pub fn by_place(&self, ordinal: u32) -> Option<&Device> {
        self.devices.get(*self.by_ordinal.get(ordinal as usize)? as usize)
    }

    /// What a device shall be set to, shared with all devices that do not differ.
    #[must_use]
    pub fn effective(&self, device: &Device) -> &Arc<Effective> {
        self.results.get(device.told.ordinal)
    }

    /// What of a device matters for what it is set to; `None` while it gets nothing.
    #[must_use]
    pub fn facts(&self, device: &Device) -> Option<Facts> {
        self.facts_of(&device.told)
    }

    /// Of what a device is set to, the settings that stay when it leaves management: all policies that have a part in
    /// their value say so.
    pub fn kept<'a>(&'a self, device: &Device) -> impl Iterator<Item = &'a SettingId> {
        let keeps = |policy: &PolicyId| {
            self.tables.policy(*policy).is_some_and(|row| row.on_unassign == OnUnassign::Keep)
        };
        let kept = move |setting: &&InForce| setting.sources.iter().all(|source| keeps(&source.policy));
        self.effective(device).settings.iter().filter(kept).map(|setting| &setting.id)
    }

    /// A policy that is not deleted.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> Option<&PolicyRow> {
        self.made(id).filter(|row| row.is_there())
    }

    /// A policy, deleted or not.
    #[must_use]
    pub fn made(&self, id: PolicyId) -> Option<&PolicyRow> {
        self.tables.policy(id).map(|row| &**row)
    }

    /// Policies by name, deleted ones too, after one (its name and id, should it be gone meanwhile).
    pub fn policies_after(
        &self,
        after: Option<(String, PolicyId)>,
    ) -> impl Iterator<Item = (PolicyId, &PolicyRow)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range((from, Bound::Unbounded));
        names.filter_map(|(_, id)| Some((*id, self.made(*id)?)))
    }

    /// The policies that have a name; there is one, unless two processes were asked at once. Names of deleted policies are
    /// free.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = PolicyId> + 'a {
        let first = (name.to_owned(), PolicyId::from_uuid(Uuid::nil()));
        let named = self.names.range(first..).take_while(move |(other, _)| other == name);
        named.map(|(_, id)| *id).filter(|id| self.policy(*id).is_some())
    }

    /// Whether identity has defined a group.
    #[must_use]
    pub fn knows_group(&self, id: GroupId) -> bool {
        self.defined.contains(&id)
    }

    /// A policy's assignments; those of a deleted one wait.
    pub fn assignments(&self, policy: PolicyId) -> impl Iterator<Item = (GroupId, &Assigned)> {
        self.tables.assignments(policy)
    }

    /// A waiver, active or not.
    #[must_use]
    pub fn waiver(&self, id: WaiverId) -> Option<&waiver::Known> {
        self.waivers.get(&id)
    }

    /// Waivers by id, active or not, after one.
    pub fn waivers_after(&self, after: Option<WaiverId>) -> impl Iterator<Item = (WaiverId, &waiver::Known)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.waivers.range((from, Bound::Unbounded)).map(|(id, row)| (*id, row))
    }

    /// When active waivers end by themselves, the next first.
    pub fn expiries(&self) -> impl Iterator<Item = (Timestamp, WaiverId)> + '_ {
        self.expiries.iter().copied()
    }

    /// How devices check in.
    #[must_use]
    pub const fn check_in_settings(&self) -> &CheckIns {
        &self.check_ins
    }

    /// The numbers that it counts.
    #[must_use]
    pub const fn metrics(&self) -> &PolicyMetrics {
        &self.metrics
    }

    /// How many devices were onboarded or trusted.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// How many results there are besides nothing: devices share them.
    #[must_use]
    pub fn results(&self) -> usize {
        self.results.len()
    }

    /// Bytes that the view takes for devices, groups' members included, without what the allocator adds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let bitmaps = self.tables.classes().map(|(_, class)| class.serialized_size()).sum::<usize>()
            + self
                .tables
                .groups()
                .filter_map(|id| self.tables.members(id))
                .map(RoaringBitmap::serialized_size)
                .sum::<usize>();
        self.devices.capacity() * size_of::<Device>()
            + self.by_id.allocation_size()
            + self.by_ordinal.capacity() * size_of::<u32>()
            + self.results.size_bytes()
            + bitmaps
    }
}
