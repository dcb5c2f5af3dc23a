//! The contract's messages ↔ what commands and queries take and give.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_errors::Fault;
use muster_proto::Malformed;
use muster_proto::convert::{duration, timestamp};
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, GroupId, PolicyId, RequestId, ResourceName, SettingId, SettingValue, TenantId};

use crate::domain::assignment::{Assigned, Intent};
use crate::domain::policy::{Known, etag};
use crate::domain::resolve::{Candidate, Effective, InForce, Reason, Source, Withheld};
use crate::projection::fleet::PolicyRow;
use crate::queries::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, Page};
use crate::watch::Hint;

/// The request's id; a new one when it brings none.
pub(super) fn request_id(text: &str) -> Result<RequestId, Fault> {
    if text.is_empty() {
        return Ok(RequestId::generate());
    }
    text.parse()
        .map_err(|error: muster_types::id::InvalidId| Fault::invalid_field("request_id", error.to_string()))
}

/// The tenant that a list or a new resource is of; there is one on this server.
pub(super) fn parent(served: TenantId, text: &str) -> Result<TenantId, Fault> {
    let ResourceName::Tenant(tenant) = name(served, "parent", text)? else {
        return Err(Fault::invalid_field("parent", "expected tenants/{tenant}"));
    };
    Ok(tenant)
}

pub(super) fn policy_name(served: TenantId, field: &str, text: &str) -> Result<PolicyId, Fault> {
    let ResourceName::Policy(_, policy) = name(served, field, text)? else {
        return Err(Fault::invalid_field(field, "expected tenants/{tenant}/policies/{policy}"));
    };
    Ok(policy)
}

pub(super) fn group_name(served: TenantId, text: &str) -> Result<GroupId, Fault> {
    let ResourceName::Group(_, group) = name(served, "group", text)? else {
        return Err(Fault::invalid_field("group", "expected tenants/{tenant}/groups/{group}"));
    };
    Ok(group)
}

pub(super) fn device_name(served: TenantId, text: &str) -> Result<DeviceId, Fault> {
    let ResourceName::Device(_, device) = name(served, "device", text)? else {
        return Err(Fault::invalid_field("device", "expected tenants/{tenant}/devices/{device}"));
    };
    Ok(device)
}

fn name(served: TenantId, field: &str, text: &str) -> Result<ResourceName, Fault> {
    let name: ResourceName = text.parse().map_err(|error: muster_types::name::InvalidResourceName| {
        Fault::invalid_field(field, error.to_string())
    })?;
    if name.tenant() != served {
        return Err(Fault::invalid_field(field, format!("this server serves the tenant {served}")));
    }
    Ok(name)
}

/// The policy of a request; it must be set.
pub(super) fn given(policy: Option<pb::Policy>) -> Result<pb::Policy, Fault> {
    policy.ok_or_else(|| Fault::invalid_field("policy", "must be set"))
}

/// Settings as given; every malformed one is told.
pub(super) fn settings(settings: Vec<pb::Setting>) -> Result<Vec<(SettingId, SettingValue)>, Fault> {
    let mut converted = Vec::with_capacity(settings.len());
    let mut malformed = Vec::new();
    for (i, setting) in settings.into_iter().enumerate() {
        match setting.try_into() {
            Ok(setting) => converted.push(setting),
            Err(error) => malformed.push(Malformed::within(error, &format!("policy.settings[{i}]"))),
        }
    }
    let Some(first) = malformed.first() else { return Ok(converted) };
    let fault = Fault::new(muster_errors::ErrorCode::ArgumentInvalid, first.to_string());
    Err(malformed
        .into_iter()
        .fold(fault, |fault, Malformed { field, problem }| fault.with_field(field, problem)))
}

pub(super) fn intent(intent: i32) -> Result<Intent, Fault> {
    let intent = pb::AssignmentIntent::try_from(intent);
    Ok(intent.map_err(|_| Fault::invalid_field("intent", "must be include or exclude"))?.into())
}

/// Which page of a list.
pub(super) fn page(page_size: i32, page_token: &str) -> Result<Page, Fault> {
    let rows = match usize::try_from(page_size) {
        Ok(0) => PAGE_ROWS_DEFAULT,
        Ok(rows) => rows.min(PAGE_ROWS_MAX),
        Err(_) => return Err(Fault::invalid_field("page_size", "must not be negative")),
    };
    let after = if page_token.is_empty() { None } else { Some(mark(page_token)?) };
    Ok(Page { rows, after })
}

fn mark(page_token: &str) -> Result<(String, PolicyId), Fault> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(page_token).ok()?;
        let (id, name) = bytes.split_at_checked(16)?;
        Some((String::from_utf8(name.to_vec()).ok()?, PolicyId::from_slice(id).ok()?))
    };
    read().ok_or_else(|| Fault::invalid_field("page_token", "not a token that a list gave"))
}

pub(super) fn page_token(next: Option<(String, PolicyId)>) -> String {
    next.map(|(name, id)| URL_SAFE_NO_PAD.encode([id.as_bytes(), name.as_bytes()].concat()))
        .unwrap_or_default()
}

/// A policy from the view.
pub(super) fn policy(tenant: TenantId, id: PolicyId, row: PolicyRow) -> pb::Policy {
    let PolicyRow { display_name, profile, settings, revision, create_time, update_time } = row;
    pb::Policy {
        name: ResourceName::Policy(tenant, id).to_string(),
        display_name,
        profile,
        settings: crate::wire::to_settings(&settings),
        revision,
        create_time: Some(timestamp(create_time)),
        update_time: Some(timestamp(update_time)),
        etag: etag(revision),
    }
}

/// A policy from its aggregate.
pub(super) fn known(tenant: TenantId, id: PolicyId, known: &Known) -> pb::Policy {
    let row = PolicyRow {
        display_name: known.display_name.clone(),
        profile: known.profile.clone(),
        settings: known.settings.clone(),
        revision: known.revision,
        create_time: known.create_time,
        update_time: known.update_time,
    };
    policy(tenant, id, row)
}

pub(super) fn assignment(
    tenant: TenantId,
    policy: PolicyId,
    group: GroupId,
    assigned: &Assigned,
) -> pb::Assignment {
    let Assigned { intent, at } = *assigned;
    pb::Assignment {
        name: ResourceName::Assignment(tenant, policy, group).to_string(),
        group: ResourceName::Group(tenant, group).to_string(),
        intent: pb::AssignmentIntent::from(intent).into(),
        create_time: Some(timestamp(at)),
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
    let InForce { id, value, sources, mode } = setting;
    pb::EffectiveSetting {
        setting: Some((id.clone(), value.clone()).into()),
        sources: sources.iter().map(|source| setting_source(tenant, source)).collect(),
        merge_mode: mode.as_str().to_owned(),
    }
}

fn withheld_setting(tenant: TenantId, setting: &Withheld) -> pb::WithheldSetting {
    let Withheld { id, reason, candidates } = setting;
    let reason = match reason {
        Reason::Conflict => pb::WithheldReason::Conflict,
        Reason::Platform => pb::WithheldReason::Platform,
        Reason::Channel => pb::WithheldReason::Channel,
    };
    let candidate = |Candidate { value, source }: &Candidate| pb::Candidate {
        value: Some(value.clone().into()),
        source: Some(setting_source(tenant, source)),
    };
    pb::WithheldSetting {
        id: id.to_string(),
        reason: reason.into(),
        candidates: candidates.iter().map(candidate).collect(),
    }
}

fn setting_source(tenant: TenantId, source: &Source) -> pb::SettingSource {
    let Source { policy, revision, groups } = source;
    pb::SettingSource {
        policy: ResourceName::Policy(tenant, *policy).to_string(),
        revision: *revision,
        groups: groups.iter().map(|group| ResourceName::Group(tenant, *group).to_string()).collect(),
    }
}

pub(super) fn hint(hint: Hint) -> pb::WatchResponse {
    let Hint { etag, spread, traceparent } = hint;
    pb::WatchResponse {
        etag: etag.to_vec(),
        spread: Some(duration(spread)),
        traceparent: traceparent.as_deref().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens_round_trip_and_noise_is_refused() {
        let after = Some(("Server ä".to_owned(), PolicyId::from_uuid(uuid::Uuid::from_u128(7))));
        assert_eq!(page(0, &page_token(after.clone())), Ok(Page { rows: PAGE_ROWS_DEFAULT, after }));
        assert_eq!(page(5_000, ""), Ok(Page { rows: PAGE_ROWS_MAX, after: None }));
        assert!(page(0, "noise").is_err());
        assert!(page(-1, "").is_err());
    }

    #[test]
    fn every_malformed_setting_is_told() {
        let bad = pb::Setting { id: "no id".into(), value: None };
        let fault = settings(vec![bad.clone(), bad]).unwrap_err();
        let fields: Vec<_> = fault.fields.iter().map(|field| field.field.as_str()).collect();
        assert_eq!(fields, ["policy.settings[0].id", "policy.settings[1].id"]);
    }

    #[test]
    fn names_of_another_tenant_or_kind_are_refused() {
        assert!(parent(TenantId::DEFAULT, "tenants/other").is_err());
        assert!(device_name(TenantId::DEFAULT, "tenants/default").is_err());
    }
}
