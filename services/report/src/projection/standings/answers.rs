//! What the view answers of policies and of the fleet. Devices of policies: see `export`.

mod convergence;
mod device;

pub(super) use device::{code, last_seen, why_withheld};
use muster_types::{PolicyId, SettingId, TenantId};
use roaring::RoaringBitmap;

use super::split::ByState;
use super::targets::Policy;
use super::{Drifts, Standings};
use crate::domain::device_status::SettingState;
use crate::domain::standing::{
    DeviceState, FleetPolicy, FleetStanding, PolicySettings, PolicyStanding, SettingCounts,
};

impl Standings {
    /// How a policy's devices stand.
    #[must_use]
    pub fn policy(&self, tenant: TenantId, id: PolicyId) -> Option<PolicyStanding> {
        let policy = self.targets.policy(tenant, id)?;
        let targeted = self.targeted(id);
        let states = counts(&self.split(id, policy, &targeted));
        Some(PolicyStanding {
            targeted: targeted.len(),
            states,
            stale: targeted.intersection_len(&self.devices.stale),
            drifting: self.drifting(id, &targeted).len(),
        })
    }

    /// The targeted devices on which something seems to work against a setting of a policy.
    fn drifting(&self, id: PolicyId, targeted: &RoaringBitmap) -> RoaringBitmap {
        let mut drifting = RoaringBitmap::new();
        if self.drifts.is_empty() {
            return drifting;
        }
        for part in self.resolutions.parts(id) {
            for setting in &part.treatment.in_force {
                if let Some(marked) = self.drifts.marked(self.words.settings.of(*setting)) {
                    drifting |= &(targeted & part.devices) & marked;
                }
            }
        }
        drifting
    }

    /// How a policy's devices stand with each of its settings.
    #[must_use]
    pub fn policy_settings(&self, tenant: TenantId, id: PolicyId) -> Option<PolicySettings> {
        let policy = self.targets.policy(tenant, id)?;
        let targeted = self.targeted(id);
        let count = |setting: &SettingId| {
            let states = self.split_setting(id, policy, setting, &targeted);
            let of = |state: SettingState| states[state as usize - 1].len();
            SettingCounts { id: setting.clone(), counts: SettingState::ALL.map(|state| (state, of(state))) }
        };
        let settings = policy.settings.iter().map(count).collect();
        Some(PolicySettings { targeted: targeted.len(), settings })
    }

    /// How all devices stand, with at most some policies, by name.
    #[must_use]
    pub fn fleet(&self, tenant: TenantId, policies_max: usize) -> FleetStanding {
        let devices = self.devices.registered();
        let states = DeviceState::ALL.map(|state| (state, devices.intersection_len(self.tally.state(state))));
        let known = self.targets.policies.iter();
        let mut policies: Vec<(&PolicyId, &Policy)> =
            known.filter(|(_, policy)| policy.tenant == tenant && !policy.deleted).collect();
        policies.sort_by_key(|(id, policy)| (&policy.display_name, **id));
        policies.truncate(policies_max);
        let standing = |(id, policy): (&PolicyId, &Policy)| {
            let standing = self.policy(tenant, *id)?;
            let (targeted, verdicts) = (standing.targeted, standing.verdicts());
            Some(FleetPolicy { policy: *id, display_name: policy.display_name.clone(), targeted, verdicts })
        };
        FleetStanding {
            devices: devices.len(),
            states,
            stale: devices.intersection_len(&self.devices.stale),
            drifting: devices.intersection_len(&self.drifts.any()),
            policies: policies.into_iter().filter_map(standing).collect(),
        }
    }
}

/// How many devices are in each state.
fn counts(states: &ByState) -> [(DeviceState, u64); DeviceState::ALL.len()] {
    DeviceState::ALL.map(|state| (state, states[super::tally::slot(state)].len()))
}

impl Drifts {
    fn is_empty(&self) -> bool {
        self.devices().next().is_none()
    }
}
