//! How the devices of a policy and of the fleet stand, for an admin.

use muster_proto::convert::{duration, timestamp};
use muster_proto::report::v1 as pb;
use muster_types::{ResourceName, TenantId};

use super::ordinals;
use super::words::{check_in, device_state, setting_state, straggler};
use crate::domain::device_status::CheckIn;
use crate::domain::standing::{
    Convergence, DeviceState, FleetPolicy, FleetStanding, PolicyDevice, PolicySettings, PolicyStanding,
    RevisionConvergence, SettingCounts, Stragglers,
};
use crate::queries::At;

fn verdicts(counts: &[(CheckIn, u64)]) -> Vec<pb::CheckInStatusCount> {
    let count = |(verdict, devices): &(CheckIn, u64)| pb::CheckInStatusCount {
        status: check_in(*verdict).into(),
        devices: ordinals(*devices),
    };
    counts.iter().map(count).collect()
}

fn states(counts: &[(DeviceState, u64)]) -> Vec<pb::DeviceStateCount> {
    let count = |(state, devices): &(DeviceState, u64)| pb::DeviceStateCount {
        state: device_state(*state).into(),
        devices: ordinals(*devices),
    };
    counts.iter().map(count).collect()
}

/// How a policy's devices stand.
pub(in super::super) fn policy_report(policy: String, found: At<PolicyStanding>) -> pb::PolicyReport {
    let At { answer, positions, time } = found;
    pb::PolicyReport {
        policy,
        targeted: ordinals(answer.targeted),
        counts: verdicts(&answer.verdicts()),
        position: positions.to_string(),
        states: states(&answer.states),
        stale: ordinals(answer.stale),
        drifting: ordinals(answer.drifting),
        time: time.map(timestamp),
    }
}

/// A device of a policy.
pub(in super::super) fn policy_device(tenant: TenantId, device: PolicyDevice) -> pb::PolicyDevice {
    let PolicyDevice {
        ordinal: _,
        device,
        host_name,
        state,
        reason,
        report_time,
        last_seen_time,
        stale,
        desired_time,
        platform,
        os_version,
        manufacturer,
        model,
    } = device;
    pb::PolicyDevice {
        device: ResourceName::Device(tenant, device).to_string(),
        host_name,
        status: check_in(state.verdict()).into(),
        state: device_state(state).into(),
        reason,
        report_time: report_time.map(timestamp),
        last_seen_time: last_seen_time.map(timestamp),
        stale,
        desired_time: desired_time.map(timestamp),
        platform: platform.map(|platform| platform.to_string()).unwrap_or_default(),
        os_version,
        manufacturer,
        model,
    }
}

/// Counts by setting.
pub(in super::super) fn policy_settings(policy: String, found: At<PolicySettings>) -> pb::PolicySettings {
    let At { answer: PolicySettings { targeted, settings }, positions, time: _ } = found;
    let setting = |SettingCounts { id, counts }: SettingCounts| pb::PolicySettingCounts {
        id: id.to_string(),
        counts: counts
            .iter()
            .map(|(state, devices)| pb::SettingStateCount {
                state: setting_state(*state).into(),
                devices: ordinals(*devices),
            })
            .collect(),
    };
    pb::PolicySettings {
        policy,
        targeted: ordinals(targeted),
        settings: settings.into_iter().map(setting).collect(),
        position: positions.to_string(),
    }
}

/// How long a policy took.
pub(in super::super) fn convergence(
    tenant: TenantId,
    policy: String,
    found: At<Convergence>,
) -> pb::PolicyConvergence {
    let At { answer: Convergence { revisions }, positions, time: _ } = found;
    let revisions = revisions.into_iter().map(|it| revision(tenant, it)).collect();
    pb::PolicyConvergence { policy, revisions, position: positions.to_string() }
}

fn revision(tenant: TenantId, revision: RevisionConvergence) -> pb::RevisionConvergence {
    let RevisionConvergence { revision, devices, converged, p50, p95, p99, stragglers } = revision;
    let name = |device| ResourceName::Device(tenant, device).to_string();
    let count = |Stragglers { reason, devices, examples }: Stragglers| pb::StragglerCount {
        reason: straggler(reason).into(),
        devices: ordinals(devices),
        examples: examples.into_iter().map(name).collect(),
    };
    pb::RevisionConvergence {
        revision,
        devices: ordinals(devices),
        converged: ordinals(converged),
        p50: p50.map(duration),
        p95: p95.map(duration),
        p99: p99.map(duration),
        stragglers: stragglers.into_iter().map(count).collect(),
    }
}

/// How all devices stand.
pub(in super::super) fn fleet(tenant: TenantId, found: At<FleetStanding>) -> pb::FleetReport {
    let At { answer, positions, time } = found;
    let counts = verdicts(&answer.verdicts());
    let FleetStanding { devices, states: finer, stale, drifting, policies } = answer;
    let policy = |policy: FleetPolicy| {
        let FleetPolicy { policy, display_name, targeted, verdicts: counts } = policy;
        pb::FleetPolicy {
            policy: ResourceName::Policy(tenant, policy).to_string(),
            display_name,
            targeted: ordinals(targeted),
            counts: verdicts(&counts),
        }
    };
    pb::FleetReport {
        devices: ordinals(devices),
        counts,
        states: states(&finer),
        stale: ordinals(stale),
        drifting: ordinals(drifting),
        policies: policies.into_iter().map(policy).collect(),
        position: positions.to_string(),
        time: time.map(timestamp),
    }
}
