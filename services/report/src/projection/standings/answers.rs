//! What the view answers.

use muster_types::{DeviceId, PolicyId, SettingId, TenantId, Timestamp};

use super::{Counts, Export, Standings};
use crate::domain::device_status::CheckIn;
use crate::domain::standing::{
    Convergence, DeviceFilter, DeviceStanding, DeviceState, FleetStanding, PolicySettings, PolicyStanding,
    Reported,
};
use crate::wire;

impl Standings {
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        None
    }

    pub(crate) fn device(
        &self,
        tenant: TenantId,
        device: DeviceId,
        _setting: Option<&SettingId>,
    ) -> Option<DeviceStanding> {
        let report = self.report(tenant, device);
        if report.is_none() && !self.knows(device) {
            return None;
        }
        let reported = report.and_then(|report| {
            let status = wire::status(&report.payload).ok()?;
            Some(Reported { status, time: report.time, position: 0 })
        });
        let verdict = reported.as_ref().map_or(CheckIn::Pending, |reported| reported.status.verdict());
        Some(DeviceStanding {
            device,
            host_name: String::new(),
            reported,
            state: state(verdict),
            desired_etag: None,
            desired_time: None,
            delivered_time: None,
            applied_time: None,
            confirmed_time: None,
            last_seen_time: None,
            stale: false,
            settings: Vec::new(),
        })
    }

    pub(crate) fn policy(&self, tenant: TenantId, policy: PolicyId) -> Option<PolicyStanding> {
        let Counts { targeted, by_verdict } = self.counts(tenant, policy)?;
        let count = |wanted| by_verdict.iter().find(|(found, _)| state(*found) == wanted);
        let states = DeviceState::ALL.map(|state| (state, count(state).map_or(0, |(_, devices)| *devices)));
        Some(PolicyStanding { targeted, states, stale: 0, drifting: 0 })
    }

    pub(crate) fn policy_settings(&self, _tenant: TenantId, _policy: PolicyId) -> Option<PolicySettings> {
        None
    }

    pub(crate) fn convergence(&self, _tenant: TenantId, _policy: PolicyId) -> Option<Convergence> {
        None
    }

    pub(crate) fn fleet(&self, _tenant: TenantId, _policies_max: usize) -> FleetStanding {
        FleetStanding {
            devices: 0,
            states: DeviceState::ALL.map(|state| (state, 0)),
            stale: 0,
            drifting: 0,
            policies: Vec::new(),
        }
    }

    pub(crate) fn export(&self, _: TenantId, _: PolicyId, _: &DeviceFilter) -> Option<Export> {
        None
    }
}

const fn state(verdict: CheckIn) -> DeviceState {
    match verdict {
        CheckIn::Succeeded => DeviceState::Confirmed,
        CheckIn::Error => DeviceState::Failed,
        CheckIn::Conflict => DeviceState::Conflict,
        CheckIn::Pending => DeviceState::Delivered,
        CheckIn::NotApplicable => DeviceState::Unsupported,
    }
}
