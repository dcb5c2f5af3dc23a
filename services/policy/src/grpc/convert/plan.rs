//! Plans and collisions.

use std::collections::{BTreeMap, BTreeSet};

use muster_errors::Fault;
use muster_proto::policy::v1 as pb;
use muster_runtime::request;
use muster_types::{DeviceId, GroupId, PolicyId, ResourceName, SettingId, TenantId, WithheldReason};
use roaring::RoaringBitmap;

use super::candidate;
use crate::domain::collision::Collision;
use crate::domain::plan::{Ineffective, Plan, PlannedConflict, PlannedSetting};
use crate::queries::plan::Planned;

/// Most groups that may be proposed to be otherwise.
const MEMBERSHIPS_MAX: usize = 1_000;
/// Most devices of a kind that are named, and how many are unless asked.
const SAMPLE_MAX: usize = 100;
const SAMPLE_DEFAULT: usize = 10;
/// Most settings that a warning names.
const WARNED_MAX: usize = 5;

/// Groups as they would be.
pub(in crate::grpc) fn memberships(
    tenant: TenantId,
    proposed: &[pb::ProposedMembership],
) -> Result<BTreeMap<GroupId, RoaringBitmap>, Fault> {
    if proposed.len() > MEMBERSHIPS_MAX {
        let problem = format!("holds {} groups, the limit is {MEMBERSHIPS_MAX}", proposed.len());
        return Err(Fault::invalid_field("memberships", problem));
    }
    let mut memberships = BTreeMap::new();
    for (place, pb::ProposedMembership { group, members }) in proposed.iter().enumerate() {
        let field = |name: &str| format!("memberships[{place}].{name}");
        let id = request::group(tenant, &field("group"), group)?;
        let members = match &members[..] {
            [] => RoaringBitmap::new(),
            bytes => RoaringBitmap::deserialize_from(bytes)
                .map_err(|error| Fault::invalid_field(field("members"), error.to_string()))?,
        };
        if memberships.insert(id, members).is_some() {
            return Err(Fault::invalid_field(field("group"), "stands there twice"));
        }
    }
    Ok(memberships)
}

/// How many devices of a kind to name.
pub(in crate::grpc) fn sample_size(asked: i32) -> Result<usize, Fault> {
    match usize::try_from(asked) {
        Ok(0) => Ok(SAMPLE_DEFAULT),
        Ok(size) => Ok(size.min(SAMPLE_MAX)),
        Err(_) => Err(Fault::invalid_field("sample_size", "must not be negative")),
    }
}

/// Devices of which it is unknown whether they are in a group that matters.
pub(in crate::grpc) struct Unknown {
    /// How many; none when identity did not tell.
    pub(in crate::grpc) devices: Result<u64, Fault>,
    /// Some of them.
    pub(in crate::grpc) sample: Vec<DeviceId>,
}

/// What changes would do.
pub(in crate::grpc) fn plan(
    tenant: TenantId,
    planned: Planned,
    sample: Vec<DeviceId>,
    unknown: Unknown,
) -> pb::Plan {
    let Planned { plan, positions, groups: _, filtered } = planned;
    let warnings = warnings(tenant, &plan, &filtered, unknown.devices.as_ref().err());
    let Plan {
        digest,
        touched,
        settings,
        new_conflicts,
        solved_conflicts,
        ineffective: _,
        tamper_guarded,
        resolved,
    } = plan;
    let names = |devices: Vec<DeviceId>| -> Vec<String> {
        devices.into_iter().map(|id| ResourceName::Device(tenant, id).to_string()).collect()
    };
    let conflicts = |conflicts: Vec<PlannedConflict>| -> Vec<pb::PlannedConflict> {
        conflicts.into_iter().map(|conflict| planned_conflict(tenant, conflict)).collect()
    };
    pb::Plan {
        digest: digest.to_vec(),
        position: positions.to_string(),
        devices_touched: touched.len(),
        devices_sample: names(sample),
        settings: settings.into_iter().map(|setting| planned_setting(tenant, setting)).collect(),
        new_conflicts: conflicts(new_conflicts),
        solved_conflicts: conflicts(solved_conflicts),
        devices_unknown: unknown.devices.unwrap_or_default(),
        devices_unknown_sample: names(unknown.sample),
        resolved: resolved as u64,
        devices_tamper_guarded: tamper_guarded.len(),
        warnings,
    }
}

fn planned_setting(tenant: TenantId, planned: PlannedSetting) -> pb::PlannedSetting {
    let PlannedSetting { id, before, after, devices, policies, withheld } = planned;
    pb::PlannedSetting {
        id: id.to_string(),
        before: before.map(Into::into),
        after: after.map(Into::into),
        devices,
        policies: policies.into_iter().map(|id| ResourceName::Policy(tenant, id).to_string()).collect(),
        withheld: withheld.map_or(pb::WithheldReason::Unspecified, Into::into).into(),
    }
}

fn planned_conflict(tenant: TenantId, conflict: PlannedConflict) -> pb::PlannedConflict {
    let PlannedConflict { id, candidates, devices } = conflict;
    pb::PlannedConflict {
        id: id.to_string(),
        candidates: candidates.iter().map(|offered| candidate(tenant, offered)).collect(),
        devices,
    }
}

fn warnings(
    tenant: TenantId,
    plan: &Plan,
    filtered: &[(PolicyId, GroupId)],
    unknown: Option<&Fault>,
) -> Vec<String> {
    let filter = |(policy, group): &(PolicyId, GroupId)| {
        let name = ResourceName::Assignment(tenant, *policy, *group);
        format!("{name}: {}", super::FILTER_WITHOUT_EFFECT)
    };
    let ineffective = plan.ineffective.iter().map(ineffective);
    let unknown = unknown.map(|fault| {
        format!("identity did not tell of which devices the membership is unknown: {}", fault.message)
    });
    filtered.iter().map(filter).chain(ineffective).chain(unknown).collect()
}

fn ineffective(ineffective: &Ineffective) -> String {
    let Ineffective { reason, settings, devices } = ineffective;
    let why = match reason {
        WithheldReason::Conflict => "policies want different values",
        WithheldReason::Platform => "they are for another platform",
        WithheldReason::Channel => "this channel cannot deliver them",
        WithheldReason::DomainController => "their profile is refused on domain controllers",
        WithheldReason::AgentVersion => "the security product there is older than they need",
        WithheldReason::Waived => "waivers exempt the devices",
        WithheldReason::TamperProtected => "tamper protection locks them",
        WithheldReason::Rules => "the rules in force do not apply them",
    };
    format!("on {devices} devices {} would not be set: {why}", listed(settings))
}

fn listed(settings: &BTreeSet<SettingId>) -> String {
    let named: Vec<_> = settings.iter().take(WARNED_MAX).map(SettingId::as_str).collect();
    match settings.len().saturating_sub(WARNED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Two assignments that want different values.
pub(in crate::grpc) fn collision(tenant: TenantId, collision: &Collision) -> pb::Collision {
    let Collision { assignments, settings, devices, decided } = collision;
    let name =
        |(policy, group): &(PolicyId, GroupId)| ResourceName::Assignment(tenant, *policy, *group).to_string();
    pb::Collision {
        assignments: assignments.iter().map(name).collect(),
        settings: settings.iter().map(ToString::to_string).collect(),
        devices: *devices,
        decided: *decided,
    }
}
