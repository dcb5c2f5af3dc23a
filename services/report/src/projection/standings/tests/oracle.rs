//! The same answers the slow way: every device is asked, with nothing interned and nothing counted ahead.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::policy::v1::WithheldReason;

use super::history::{Happened, Told};
use crate::domain::device_status::SettingState;
use crate::domain::standing::DeviceState;

/// A setting with its value, or with why it is withheld.
type Wanted = (u8, Result<u8, WithheldReason>);
type Said = (u8, Vec<(u8, SettingState, u8)>, bool, usize);

#[derive(Debug, Default)]
pub(super) struct Oracle {
    ordinals: Vec<u8>,
    gone: BTreeSet<u8>,
    linux: BTreeMap<u8, bool>,
    members: BTreeMap<u8, BTreeSet<u32>>,
    /// Revision, settings, deleted.
    policies: BTreeMap<u8, (u64, Vec<u8>, bool)>,
    assigned: BTreeMap<(u8, u8), bool>,
    desired: BTreeMap<u32, Option<Told>>,
    /// Which event brought each setting to what it is.
    ages: BTreeMap<u32, BTreeMap<Wanted, usize>>,
    delivered: BTreeMap<u32, (u8, u8, usize)>,
    said: BTreeMap<u8, Said>,
    stale: BTreeSet<u8>,
}

impl Oracle {
    pub(super) fn of(history: &[Happened]) -> Self {
        let mut oracle = Self::default();
        history.iter().enumerate().for_each(|(n, happened)| oracle.note(happened, n));
        oracle
    }

    fn note(&mut self, happened: &Happened, n: usize) {
        match happened.clone() {
            Happened::Onboarded { device, linux } => drop(self.linux.insert(device, linux)),
            Happened::Trusted(device) => {
                self.gone.remove(&device);
                if !self.ordinals.contains(&device) {
                    self.ordinals.push(device);
                }
            }
            Happened::Removed(device) if self.ordinals.contains(&device) => drop(self.gone.insert(device)),
            Happened::Members { group, added, removed } => {
                let members = self.members.entry(group).or_default();
                members.extend(added);
                members.retain(|ordinal| !removed.contains(ordinal));
            }
            Happened::Created { policy, settings } => {
                drop(self.policies.insert(policy, (1, settings, false)));
            }
            Happened::Revised { policy, settings } => {
                drop(self.policies.insert(policy, (2, settings, false)));
            }
            Happened::Deleted(policy) => self.set_deleted(policy, true),
            Happened::Undeleted(policy) => self.set_deleted(policy, false),
            Happened::Assigned { policy, group, include } => {
                self.assigned.insert((policy, group), include);
            }
            Happened::Unassigned { policy, group } => drop(self.assigned.remove(&(policy, group))),
            Happened::Resolved { devices, resolution } => {
                devices.iter().for_each(|device| self.age(*device, &resolution, n));
                self.desired.extend(devices.into_iter().map(|device| (device, Some(resolution.clone()))));
            }
            Happened::Nothing(devices) => {
                devices.iter().for_each(|device| drop(self.ages.remove(device)));
                self.desired.extend(devices.into_iter().map(|device| (device, None)));
            }
            Happened::Delivered { devices, etag, step } => {
                self.delivered.extend(devices.into_iter().map(|device| (device, (etag, step, n))));
            }
            Happened::Said { device, etag, settings, refused } => {
                self.said.insert(device, (etag, settings, refused, n));
            }
            Happened::Stale { device, stale: true } => drop(self.stale.insert(device)),
            Happened::Stale { device, stale: false } => drop(self.stale.remove(&device)),
            Happened::Removed(_) | Happened::Seen(_) | Happened::Drift { .. } => {}
        }
    }

    fn set_deleted(&mut self, policy: u8, deleted: bool) {
        if let Some(known) = self.policies.get_mut(&policy) {
            known.2 = deleted;
        }
    }

    fn age(&mut self, ordinal: u32, told: &Told, n: usize) {
        let before = self.ages.remove(&ordinal).unwrap_or_default();
        let in_force = told.in_force.iter().map(|(setting, value, _)| (*setting, Ok(*value)));
        let withheld = told.withheld.iter().map(|(setting, reason, _)| (*setting, Err(*reason)));
        let wanted = in_force.chain(withheld);
        let ages = wanted.map(|wanted| (wanted, before.get(&wanted).copied().unwrap_or(n)));
        self.ages.insert(ordinal, ages.collect());
    }

    /// What devices should have, each once.
    pub(super) fn desired(&self) -> Vec<&Told> {
        let mut all: Vec<&Told> = Vec::new();
        for told in self.desired.values().flatten() {
            if !all.contains(&told) {
                all.push(told);
            }
        }
        all
    }

    /// Each setting that a device should have or that is withheld from it, and the event that brought it to that.
    pub(super) fn ages(&self, ordinal: u32) -> BTreeMap<u8, usize> {
        let ages = self.ages.get(&ordinal).into_iter().flatten();
        ages.map(|((setting, _), n)| (*setting, *n)).collect()
    }

    pub(super) fn known(&self, policy: u8) -> Option<&(u64, Vec<u8>, bool)> {
        self.policies.get(&policy).filter(|(_, _, deleted)| !deleted)
    }

    pub(super) fn registered(&self) -> impl Iterator<Item = u32> {
        (0_u32..)
            .zip(&self.ordinals)
            .filter(|(_, device)| !self.gone.contains(device))
            .map(|(ordinal, _)| ordinal)
    }

    pub(super) fn targeted(&self, policy: u8) -> Vec<u32> {
        let has = |include: bool, ordinal: u32| {
            let groups =
                self.assigned.iter().filter(|((of, _), intent)| *of == policy && **intent == include);
            let mut members = groups.filter_map(|((_, group), _)| self.members.get(group));
            members.any(|members| members.contains(&ordinal))
        };
        self.registered().filter(|at| has(true, *at) && !has(false, *at)).collect()
    }

    pub(super) fn is_stale(&self, ordinal: u32) -> bool {
        self.ordinals.get(ordinal as usize).is_some_and(|device| self.stale.contains(device))
    }

    fn said(&self, ordinal: u32) -> Option<&Said> {
        self.said.get(self.ordinals.get(ordinal as usize)?)
    }

    fn refuses(&self, ordinal: u32, etag: u8) -> bool {
        let said = self.said(ordinal);
        let by_word = said.is_some_and(|(of, _, refused, _)| *refused && *of != etag);
        let obeys_since =
            |n: usize| said.is_some_and(|(of, _, refused, time)| *of == etag && !refused && *time >= n);
        let by_step = self
            .delivered
            .get(&ordinal)
            .is_some_and(|(of, step, n)| *of == etag && *step == 3 && !obeys_since(*n));
        by_word || by_step
    }

    fn pending(&self, ordinal: u32, etag: u8) -> DeviceState {
        if self.said(ordinal).is_some_and(|(of, ..)| *of == etag) {
            return DeviceState::Applying;
        }
        match self.delivered.get(&ordinal) {
            Some((of, 1, _)) if *of == etag => DeviceState::Delivered,
            Some((of, ..)) if *of == etag => DeviceState::Applying,
            Some(_) | None => DeviceState::NeverDelivered,
        }
    }

    /// How a device stands with one setting of its resolution: the state of the setting, and of a device that has no other.
    fn setting(&self, ordinal: u32, told: &Told, setting: u8) -> (SettingState, DeviceState) {
        if let Some((_, reason, _)) = told.withheld.iter().find(|(id, ..)| *id == setting) {
            return match reason {
                WithheldReason::Conflict => (SettingState::Conflict, DeviceState::Conflict),
                WithheldReason::Waived => (SettingState::Waived, DeviceState::Waived),
                WithheldReason::TamperProtected => {
                    (SettingState::TamperProtected, DeviceState::TamperProtected)
                }
                WithheldReason::Unspecified
                | WithheldReason::Platform
                | WithheldReason::Channel
                | WithheldReason::DomainController
                | WithheldReason::AgentVersion
                | WithheldReason::Rules => (SettingState::NotApplicable, DeviceState::Unsupported),
            };
        }
        let wanted = told.in_force.iter().find(|(id, ..)| *id == setting).map(|(_, value, _)| *value);
        let said = self.said(ordinal);
        let current = said.is_some_and(|(of, ..)| *of == told.etag);
        let entry = said.and_then(|(_, settings, ..)| settings.iter().find(|(id, ..)| *id == setting));
        match entry {
            Some((_, state, desired)) if current || Some(*desired) == wanted => {
                let device = match state {
                    SettingState::Succeeded => DeviceState::Confirmed,
                    SettingState::Error => DeviceState::Failed,
                    SettingState::Conflict => DeviceState::Conflict,
                    SettingState::Pending => DeviceState::Applying,
                    SettingState::NotApplicable => DeviceState::Unsupported,
                    SettingState::Waived => DeviceState::Waived,
                    SettingState::TamperProtected => DeviceState::TamperProtected,
                };
                (*state, device)
            }
            None if current => (SettingState::Pending, DeviceState::Applying),
            Some(_) | None if self.refuses(ordinal, told.etag) => (SettingState::Error, DeviceState::Refused),
            Some(_) | None => (SettingState::Pending, self.pending(ordinal, told.etag)),
        }
    }

    fn over(&self, ordinal: u32, told: &Told, settings: &BTreeSet<u8>) -> DeviceState {
        if self.refuses(ordinal, told.etag) {
            return DeviceState::Refused;
        }
        let states: Vec<_> = settings.iter().map(|id| self.setting(ordinal, told, *id).1).collect();
        for gravest in [
            DeviceState::Failed,
            DeviceState::TamperProtected,
            DeviceState::Conflict,
            DeviceState::NeverDelivered,
            DeviceState::Delivered,
        ] {
            if states.contains(&gravest) {
                return gravest;
            }
        }
        if states.contains(&DeviceState::Applying) {
            return DeviceState::Applying;
        }
        let current = self.said(ordinal).is_some_and(|(of, ..)| *of == told.etag);
        if states.is_empty() {
            return if current { DeviceState::Confirmed } else { self.pending(ordinal, told.etag) };
        }
        if states.contains(&DeviceState::Confirmed) {
            return DeviceState::Confirmed;
        }
        if states.contains(&DeviceState::Unsupported) {
            DeviceState::Unsupported
        } else {
            DeviceState::Waived
        }
    }

    fn unresolved(&self, ordinal: u32) -> DeviceState {
        let device = self.ordinals.get(ordinal as usize);
        let linux = device.and_then(|device| self.linux.get(device)).copied();
        if linux == Some(false) { DeviceState::Unsupported } else { DeviceState::Unknown }
    }

    /// Settings of a policy in a resolution; `None` when the policy is not in it.
    fn carried(told: &Told, policy: u8) -> Option<BTreeSet<u8>> {
        let place = told.policies.iter().position(|(other, _)| *other == policy)?;
        let place = u32::try_from(place).unwrap();
        let in_force = told.in_force.iter().filter(|(_, _, of)| of.contains(&place)).map(|(id, ..)| *id);
        let withheld = told.withheld.iter().filter(|(_, _, of)| of.contains(&place)).map(|(id, ..)| *id);
        Some(in_force.chain(withheld).collect())
    }

    pub(super) fn policy_state(&self, ordinal: u32, policy: u8) -> DeviceState {
        match self.desired.get(&ordinal) {
            None => self.unresolved(ordinal),
            Some(None) => DeviceState::Unsupported,
            Some(Some(told)) => match Self::carried(told, policy) {
                None => DeviceState::Unsupported,
                Some(settings) => self.over(ordinal, told, &settings),
            },
        }
    }

    pub(super) fn fleet_state(&self, ordinal: u32) -> DeviceState {
        match self.desired.get(&ordinal) {
            None => DeviceState::Unknown,
            Some(None) => DeviceState::Unsupported,
            Some(Some(told)) => {
                let in_force = told.in_force.iter().map(|(id, ..)| *id);
                let all = in_force.chain(told.withheld.iter().map(|(id, ..)| *id)).collect();
                self.over(ordinal, told, &all)
            }
        }
    }

    pub(super) fn setting_state(&self, ordinal: u32, policy: u8, setting: u8) -> SettingState {
        let revision = self.policies[&policy].0;
        match self.desired.get(&ordinal) {
            None if self.unresolved(ordinal) == DeviceState::Unknown => SettingState::Pending,
            None | Some(None) => SettingState::NotApplicable,
            Some(Some(told)) => match Self::carried(told, policy) {
                None => SettingState::NotApplicable,
                Some(carried) if carried.contains(&setting) => self.setting(ordinal, told, setting).0,
                Some(_) if told.policies.contains(&(policy, revision)) => SettingState::NotApplicable,
                Some(_) => SettingState::Pending,
            },
        }
    }
}
