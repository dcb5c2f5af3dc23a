//! The contract's messages ↔ what commands and queries take and give.

mod changes;
mod explain;
mod plan;
mod revision;
mod waiver;

use muster_errors::{ErrorCode, Fault};
use muster_proto::Malformed;
use muster_proto::convert::{duration, timestamp};
use muster_proto::policy::v1 as pb;
use muster_runtime::request::{self, Page};
use muster_types::{DeviceId, GroupId, PolicyId, ResourceName, SettingId, SettingValue, TenantId};

use crate::commands::GivenContent;
use crate::domain::assignment::{Assigned, PRIORITY_MAX, Priority, Tie};
use crate::domain::policy::{Known, OnUnassign, etag, revision_id};
use crate::domain::resolve::{Candidate, Effective, InForce, Source, Withheld};
use crate::history::hex;
use crate::projection::fleet::PolicyRow;
use crate::queries::Mark;
use crate::watch::Hint;

pub(super) use changes::changes;
pub(super) use explain::{Written, explanation};
pub(super) use plan::{Unknown, collision, memberships, plan, sample_size};
pub(super) use revision::{diff, revision, revision_name, revision_page, revision_page_token};
pub(super) use waiver::{granted, waiver, waiver_id, waiver_page, waiver_page_token};

/// What is to be known of an assignment with a filter.
pub(super) const FILTER_WITHOUT_EFFECT: &str =
    "the assignment filter is kept and has no effect on this channel: all devices of the group are meant";

/// What requests say of a policy; the rest of it is the service's to say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) profile: String,
    pub(super) etag: String,
    pub(super) content: GivenContent,
}

/// The policy of a request; it must be set.
pub(super) fn given(policy: Option<pb::Policy>) -> Result<Given, Fault> {
    let policy = policy.ok_or_else(|| Fault::invalid_field("policy", "must be set"))?;
    let pb::Policy {
        name,
        display_name,
        profile,
        settings: given,
        revision: _,
        create_time: _,
        update_time: _,
        etag,
        on_unassign: end,
        revision_id: _,
        delete_time: _,
        actor: _,
        reason: _,
    } = policy;
    let content = GivenContent { display_name, settings: settings(given)?, on_unassign: on_unassign(end)? };
    Ok(Given { name, profile, etag, content })
}

/// Settings as given; every malformed one is told.
fn settings(settings: Vec<pb::Setting>) -> Result<Vec<(SettingId, SettingValue)>, Fault> {
    let mut converted = Vec::with_capacity(settings.len());
    let mut malformed = Vec::new();
    for (i, setting) in settings.into_iter().enumerate() {
        match setting.try_into() {
            Ok(setting) => converted.push(setting),
            Err(error) => malformed.push(Malformed::within(error, &format!("policy.settings[{i}]"))),
        }
    }
    let Some(first) = malformed.first() else { return Ok(converted) };
    let fault = Fault::new(ErrorCode::ArgumentInvalid, first.to_string());
    Err(malformed
        .into_iter()
        .fold(fault, |fault, Malformed { field, problem }| fault.with_field(field, problem)))
}

/// How a policy shall be tied to a group.
pub(super) fn tie(intent: i32, priority: Option<u32>, filter: String) -> Result<Tie, Fault> {
    let intent = pb::AssignmentIntent::try_from(intent);
    let intent = intent.map_err(|_| Fault::invalid_field("intent", "must be include or exclude"))?.into();
    let known = |number| {
        let problem = || format!("must be 1 to {PRIORITY_MAX}, is {number}");
        Priority::new(number).ok_or_else(|| Fault::invalid_field("priority", problem()))
    };
    Ok(Tie { intent, priority: priority.map(known).transpose()?, filter })
}

/// The group to assign to: whatever else may carry policies elsewhere is refused as such.
pub(super) fn target(tenant: TenantId, group: &str) -> Result<GroupId, Fault> {
    let malformed = match request::group(tenant, "group", group) {
        Ok(group) => return Ok(group),
        Err(malformed) => malformed,
    };
    let other = group.strip_prefix("tenants/").and_then(|rest| rest.split('/').nth(1));
    match other {
        Some(kind) if kind != "groups" => {
            let message = format!("{group} is no group of devices: policies are assigned to those alone");
            Err(Fault::new(ErrorCode::TargetUnsupported, message)
                .with("target", group)
                .with_field("group", "expected tenants/{tenant}/groups/{group}"))
        }
        _ => Err(malformed),
    }
}

fn on_unassign(on_unassign: i32) -> Result<OnUnassign, Fault> {
    let on_unassign = pb::OnUnassign::try_from(on_unassign);
    let invalid = |_| Fault::invalid_field("policy.on_unassign", "must be revert or keep");
    Ok(on_unassign.map_err(invalid)?.into())
}

/// Which page of the policies: they are marked by id and name.
pub(super) fn page(page_size: i32, page_token: &str) -> Result<Page<Mark>, Fault> {
    request::page(page_size, page_token, |bytes| {
        let (id, name) = bytes.split_at_checked(16)?;
        Some((String::from_utf8(name.to_vec()).ok()?, PolicyId::from_slice(id).ok()?))
    })
}

pub(super) fn page_token(next: Option<Mark>) -> String {
    request::page_token(next.map(|(name, id)| [id.as_bytes(), name.as_bytes()].concat()))
}

/// A policy from the view.
pub(super) fn policy(tenant: TenantId, id: PolicyId, row: PolicyRow) -> pb::Policy {
    let PolicyRow {
        display_name,
        profile,
        settings,
        on_unassign,
        revision,
        create_time,
        update_time,
        delete_time,
        actor,
        reason,
    } = row;
    pb::Policy {
        name: ResourceName::Policy(tenant, id).to_string(),
        revision_id: hex(&revision_id(&profile, &settings, on_unassign)),
        display_name,
        profile,
        settings: crate::wire::to_settings(&settings),
        revision,
        create_time: Some(timestamp(create_time)),
        update_time: Some(timestamp(update_time)),
        etag: etag(revision),
        on_unassign: pb::OnUnassign::from(on_unassign).into(),
        delete_time: delete_time.map(timestamp),
        actor,
        reason,
    }
}

/// A policy from its aggregate.
pub(super) fn known(tenant: TenantId, id: PolicyId, known: &Known) -> pb::Policy {
    let row = PolicyRow {
        display_name: known.display_name.clone(),
        profile: known.profile.clone(),
        settings: known.settings.clone(),
        on_unassign: known.on_unassign,
        revision: known.revision,
        create_time: known.create_time,
        update_time: known.update_time,
        delete_time: known.delete_time,
        actor: known.actor.clone(),
        reason: known.reason.clone(),
    };
    policy(tenant, id, row)
}

pub(super) fn assignment(
    tenant: TenantId,
    policy: PolicyId,
    group: GroupId,
    assigned: &Assigned,
) -> pb::Assignment {
    let Assigned { tie: Tie { intent, priority, filter }, at } = assigned;
    let warning = (!filter.is_empty()).then(|| FILTER_WITHOUT_EFFECT.to_owned());
    pb::Assignment {
        name: ResourceName::Assignment(tenant, policy, group).to_string(),
        group: ResourceName::Group(tenant, group).to_string(),
        intent: pb::AssignmentIntent::from(*intent).into(),
        create_time: Some(timestamp(*at)),
        priority: priority.map(|priority| priority.number().into()),
        filter: filter.clone(),
        warnings: warning.into_iter().collect(),
    }
}

pub(super) fn effective(tenant: TenantId, device: DeviceId, effective: &Effective) -> pb::EffectivePolicy {
    let Effective { settings, withheld, etag } = effective;
    pb::EffectivePolicy {
        device: ResourceName::Device(tenant, device).to_string(),
        etag: etag.to_vec(),
        settings: settings.iter().map(|setting| in_force(tenant, setting)).collect(),
        withheld: withheld.iter().map(|setting| withheld_setting(tenant, setting)).collect(),
    }
}

fn in_force(tenant: TenantId, setting: &InForce) -> pb::EffectiveSetting {
    let InForce { id, value, sources, losers, mode, tamper_guarded } = setting;
    pb::EffectiveSetting {
        setting: Some((id.clone(), value.clone()).into()),
        sources: sources.iter().map(|source| setting_source(tenant, source)).collect(),
        merge_mode: mode.as_str().to_owned(),
        losers: losers.iter().map(|loser| candidate(tenant, loser)).collect(),
        tamper_guarded: *tamper_guarded,
    }
}

fn withheld_setting(tenant: TenantId, setting: &Withheld) -> pb::WithheldSetting {
    let Withheld { id, reason, candidates } = setting;
    pb::WithheldSetting {
        id: id.to_string(),
        reason: pb::WithheldReason::from(*reason).into(),
        candidates: candidates.iter().map(|offered| candidate(tenant, offered)).collect(),
    }
}

fn candidate(tenant: TenantId, candidate: &Candidate) -> pb::Candidate {
    let Candidate { value, source } = candidate;
    pb::Candidate { value: Some(value.clone().into()), source: Some(setting_source(tenant, source)) }
}

fn setting_source(tenant: TenantId, source: &Source) -> pb::SettingSource {
    let Source { policy, revision, priority, groups } = source;
    pb::SettingSource {
        policy: ResourceName::Policy(tenant, *policy).to_string(),
        revision: *revision,
        groups: groups.iter().map(|group| ResourceName::Group(tenant, *group).to_string()).collect(),
        priority: priority.map(|priority| priority.number().into()),
    }
}

pub(super) fn hint(hint: Hint) -> pb::WatchResponse {
    let Hint { etag, spread, traceparent } = hint;
    pb::WatchResponse {
        etag: etag.to_vec(),
        spread: Some(duration(spread)),
        traceparent: traceparent.as_deref().unwrap_or_default().to_owned(),
        reconnect_within: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_round_trip_and_noise_is_refused() {
        let mark = Some(("Server ä".to_owned(), PolicyId::from_uuid(uuid::Uuid::from_u128(7))));
        assert_eq!(page(9, &page_token(mark.clone())), Ok(Page { rows: 9, mark }));
        assert!(page(0, "noise").is_err());
    }

    #[test]
    fn every_malformed_setting_is_told() {
        let bad = pb::Setting { id: "no id".into(), value: None };
        let fault = settings(vec![bad.clone(), bad]).unwrap_err();
        let fields: Vec<_> = fault.fields.iter().map(|field| field.field.as_str()).collect();
        assert_eq!(fields, ["policy.settings[0].id", "policy.settings[1].id"]);
    }
}
