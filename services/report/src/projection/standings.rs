//! How devices stand with policies: who is targeted, and what each last said of each setting.
//!
//! Rows are facts of the logs; the bitmaps by setting and state follow from them and make every count a bitmap's
//! cardinality.

mod answers;
mod export;
mod past;
mod platforms;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Platform};
use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::enroll::v1::DeviceOnboarded;
use muster_proto::identity::v1::GroupMembershipChanged;
use muster_proto::policy::v1::{
    AssignmentIntent, PolicyAssigned, PolicyCreated, PolicyRevised, PolicyUnassigned, Setting,
};
use muster_types::{DeviceId, GroupId, PolicyId, Service, SettingId, TenantId, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::domain::device_status::{CheckIn, Status};
use crate::store::{self, Key};
use crate::wire::{self, decoded, kind, text};
pub use export::Export;
use platforms::Platforms;
use tally::Tally;

/// The view.
#[derive(Debug, Default)]
pub struct Standings {
    devices: Vec<DeviceId>,
    /// Ordinals of devices that are no longer registered: deleted, offboarded or merged.
    gone: RoaringBitmap,
    ordinals: FxHashMap<DeviceId, u32>,
    reports: FxHashMap<DeviceId, Report>,
    policies: FxHashMap<PolicyId, Policy>,
    assignments: BTreeMap<(PolicyId, GroupId), Intent>,
    groups: FxHashMap<GroupId, RoaringBitmap>,
    platforms: Platforms,
    tally: Tally,
}

/// What a device last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The payload of its `StatusReported`: statuses are many, and read one at a time.
    pub payload: Box<[u8]>,
    /// When it was taken in.
    pub time: Timestamp,
}

/// What a policy sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The settings.
    pub settings: Vec<SettingId>,
    /// The platform its profile is for; `None` for a profile that this version does not know.
    pub platform: Option<Platform>,
    /// It was deleted and may come back; its assignments wait.
    pub deleted: bool,
}

/// What an assignment does with the devices of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// They get the policy.
    Include,
    /// They do not, whatever else includes them.
    Exclude,
}

/// Devices by verdict; they add up to those targeted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Devices in the policy's groups.
    pub targeted: u64,
    /// How many have each verdict, in the order of [`CheckIn::ALL`].
    pub by_verdict: [(CheckIn, u64); 5],
}

impl Standings {
    /// What a device of a tenant last said.
    #[must_use]
    pub fn report(&self, tenant: TenantId, device: DeviceId) -> Option<&Report> {
        self.reports.get(&device).filter(|report| report.tenant == tenant)
    }

    /// Whether a device was ever trusted.
    #[must_use]
    pub fn knows(&self, device: DeviceId) -> bool {
        self.ordinals.contains_key(&device)
    }

    /// How the devices that a policy is assigned to stand; `None` when there is no such policy.
    #[must_use]
    pub fn counts(&self, tenant: TenantId, policy: PolicyId) -> Option<Counts> {
        let known = self.policies.get(&policy).filter(|known| known.tenant == tenant && !known.deleted)?;
        let targeted = self.targeted(policy);
        let foreign = known.platform.map(|platform| self.platforms.others(platform)).unwrap_or_default();
        Some(self.tally.counts(&targeted, &foreign, &known.settings))
    }

    /// Ordinals of the devices that a policy is assigned to: exclusion wins, and who is gone does not count.
    #[must_use]
    pub fn targeted(&self, policy: PolicyId) -> RoaringBitmap {
        let (mut included, mut excluded) = (RoaringBitmap::new(), RoaringBitmap::new());
        for (group, intent) in self.assignments_of(policy) {
            let Some(members) = self.groups.get(&group) else { continue };
            match intent {
                Intent::Include => included |= members,
                Intent::Exclude => excluded |= members,
            }
        }
        included - excluded - &self.gone
    }

    fn assignments_of(&self, policy: PolicyId) -> impl Iterator<Item = (GroupId, Intent)> {
        let from = (policy, GroupId::from_uuid(uuid::Uuid::nil()));
        let of_policy = self.assignments.range(from..).take_while(move |((of, _), _)| *of == policy);
        of_policy.map(|((_, group), intent)| (*group, *intent))
    }

    fn trust(&mut self, device: DeviceId, dirty: &mut Dirty) -> Result<(), String> {
        let ordinal = match self.ordinals.get(&device) {
            None => self.push_device(device)?,
            Some(ordinal) if self.gone.remove(*ordinal) => *ordinal,
            Some(_) => return Ok(()),
        };
        dirty.mark(Key::Device(ordinal).to_bytes());
        Ok(())
    }

    /// Takes a device out of all counts, until it is trusted again.
    fn remove(&mut self, device: DeviceId, dirty: &mut Dirty) {
        if let Some(ordinal) = self.ordinals.get(&device) {
            self.gone.insert(*ordinal);
            dirty.mark(Key::Device(*ordinal).to_bytes());
        }
    }

    /// Gives a device its ordinal. Its report may have come first.
    fn push_device(&mut self, device: DeviceId) -> Result<u32, String> {
        let ordinal = u32::try_from(self.devices.len()).map_err(|_| "more devices than ordinals")?;
        self.devices.push(device);
        self.ordinals.insert(device, ordinal);
        self.platforms.place(device, ordinal);
        if let Some(report) = self.reports.get(&device) {
            self.tally.add(ordinal, &wire::status(&report.payload)?);
        }
        Ok(ordinal)
    }

    fn put_report(&mut self, device: DeviceId, report: Report, status: &Status) -> Result<(), String> {
        let before = self.reports.insert(device, report);
        if let Some(ordinal) = self.ordinals.get(&device) {
            if let Some(before) = before {
                self.tally.remove(*ordinal, &wire::status(&before.payload)?);
            }
            self.tally.add(*ordinal, status);
        }
        Ok(())
    }

    fn set_policy(
        &mut self,
        event: &Envelope,
        profile: Option<&str>,
        settings: Vec<Setting>,
        dirty: &mut Dirty,
    ) -> Result<(), String> {
        let id = PolicyId::from_uuid(event.stream.id);
        let ids = settings.into_iter().map(|Setting { id, value: _ }| id.parse().map_err(text));
        let settings = ids.collect::<Result<_, _>>()?;
        let platform = match profile {
            Some(profile) => Catalogue::builtin().profile(profile).map(|profile| profile.platform),
            None => self.policies.get(&id).and_then(|policy| policy.platform),
        };
        let policy = Policy { tenant: event.stream.tenant, settings, platform, deleted: false };
        self.policies.insert(id, policy);
        dirty.mark(Key::Policy(id).to_bytes());
        Ok(())
    }

    fn set_deleted(&mut self, id: PolicyId, deleted: bool, dirty: &mut Dirty) {
        if let Some(policy) = self.policies.get_mut(&id) {
            policy.deleted = deleted;
            dirty.mark(Key::Policy(id).to_bytes());
        }
    }

    fn change_members(&mut self, group: GroupId, payload: &[u8], dirty: &mut Dirty) -> Result<(), String> {
        let GroupMembershipChanged { added, removed } = decoded(payload)?;
        let members = self.groups.entry(group).or_default();
        *members |= store::bitmap(&added)?;
        *members -= store::bitmap(&removed)?;
        dirty.mark(Key::Group(group).to_bytes());
        Ok(())
    }

    fn fold(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let payload = &event.payload[..];
        match event.kind.as_str() {
            kind::TRUST_ESTABLISHED => self.trust(DeviceId::from_uuid(event.stream.id), dirty)?,
            kind::REGISTRATION_REMOVED => self.remove(DeviceId::from_uuid(event.stream.id), dirty),
            kind::MEMBERSHIP_CHANGED => {
                self.change_members(GroupId::from_uuid(event.stream.id), payload, dirty)?;
            }
            kind::STATUS_REPORTED => {
                let device = DeviceId::from_uuid(event.stream.id);
                let status = wire::status(payload)?;
                let (tenant, time) = (event.stream.tenant, event.context.time);
                self.put_report(device, Report { tenant, payload: payload.into(), time }, &status)?;
                dirty.mark(Key::Report(device).to_bytes());
            }
            kind::POLICY_CREATED => {
                let PolicyCreated { display_name: _, profile, settings, on_unassign: _, reason: _ } =
                    decoded(payload)?;
                self.set_policy(event, Some(&profile), settings, dirty)?;
            }
            kind::POLICY_REVISED => {
                let PolicyRevised { settings, .. } = decoded(payload)?;
                self.set_policy(event, None, settings, dirty)?;
            }
            kind::POLICY_DELETED => self.set_deleted(PolicyId::from_uuid(event.stream.id), true, dirty),
            kind::POLICY_UNDELETED => self.set_deleted(PolicyId::from_uuid(event.stream.id), false, dirty),
            kind::DEVICE_ONBOARDED => {
                let device = DeviceId::from_uuid(event.stream.id);
                let DeviceOnboarded { facts, .. } = decoded(payload)?;
                if let Some(platform) = facts.and_then(|facts| wire::platform(facts.platform())) {
                    self.platforms.tell(device, self.ordinals.get(&device).copied(), platform);
                    dirty.mark(Key::Platform(device).to_bytes());
                }
            }
            kind::POLICY_ASSIGNED => {
                let message: PolicyAssigned = decoded(payload)?;
                let intent = match message.intent() {
                    AssignmentIntent::Unspecified | AssignmentIntent::Include => Intent::Include,
                    AssignmentIntent::Exclude => Intent::Exclude,
                };
                let at = assignment(&message.policy_id, &message.group_id)?;
                self.assignments.insert(at, intent);
                dirty.mark(Key::Assignment(at.0, at.1).to_bytes());
            }
            kind::POLICY_UNASSIGNED => {
                let PolicyUnassigned { policy_id, group_id } = decoded(payload)?;
                let at = assignment(&policy_id, &group_id)?;
                self.assignments.remove(&at);
                dirty.mark(Key::Assignment(at.0, at.1).to_bytes());
            }
            _ => {}
        }
        Ok(())
    }
}

impl View for Standings {
    const NAME: &'static str = "standings";
    const CONTRACT: u32 = 3;
    const SOURCES: &'static [Service] =
        &[Service::Enroll, Service::Identity, Service::Policy, Service::Report];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        self.fold(event, dirty).map_err(|reason| FoldError::new(event, reason))
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..).zip(&self.devices).for_each(|(ordinal, _)| row(&Key::Device(ordinal).to_bytes()));
        self.reports.keys().for_each(|device| row(&Key::Report(*device).to_bytes()));
        self.policies.keys().for_each(|policy| row(&Key::Policy(*policy).to_bytes()));
        self.assignments.keys().for_each(|(policy, group)| row(&Key::Assignment(*policy, *group).to_bytes()));
        self.groups.keys().for_each(|group| row(&Key::Group(*group).to_bytes()));
        self.platforms.told(&self.devices).for_each(|device| row(&Key::Platform(device).to_bytes()));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        match Key::from_bytes(key)? {
            Key::Device(ordinal) => {
                let device = self.devices.get(ordinal as usize)?;
                Some(store::encode_device(*device, self.gone.contains(ordinal)))
            }
            Key::Report(device) => self.reports.get(&device).map(store::encode_report),
            Key::Policy(policy) => self.policies.get(&policy).map(store::encode_policy),
            Key::Assignment(policy, group) => {
                self.assignments.get(&(policy, group)).map(|intent| store::encode_intent(*intent))
            }
            Key::Group(group) => self.groups.get(&group).map(store::encode_bitmap),
            Key::Platform(device) => {
                self.platforms.of(device, self.ordinals.get(&device).copied()).map(store::encode_platform)
            }
        }
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match Key::from_bytes(key).ok_or("not the key of a row")? {
            Key::Device(ordinal) => {
                let (device, gone) = store::decode_device(value)?;
                let loaded = self.push_device(device)?;
                if gone {
                    self.gone.insert(loaded);
                }
                if loaded != ordinal {
                    return Err(format!("device {loaded} is missing"));
                }
            }
            Key::Report(device) => {
                let report = store::decode_report(value)?;
                let status = wire::status(&report.payload)?;
                self.put_report(device, report, &status)?;
            }
            Key::Policy(policy) => {
                self.policies.insert(policy, store::decode_policy(value)?);
            }
            Key::Assignment(policy, group) => {
                self.assignments.insert((policy, group), store::decode_intent(value)?);
            }
            Key::Group(group) => {
                self.groups.insert(group, store::bitmap(value)?);
            }
            Key::Platform(device) => {
                let ordinal = self.ordinals.get(&device).copied();
                self.platforms.tell(device, ordinal, store::decode_platform(value)?);
            }
        }
        Ok(())
    }
}

fn assignment(policy: &[u8], group: &[u8]) -> Result<(PolicyId, GroupId), String> {
    Ok((PolicyId::from_slice(policy).map_err(text)?, GroupId::from_slice(group).map_err(text)?))
}
