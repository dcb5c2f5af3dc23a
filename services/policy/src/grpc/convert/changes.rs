//! Many changes.

use muster_errors::Fault;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::change::Kind;
use muster_runtime::request;
use muster_types::{RequestId, TenantId};

use super::waiver::{granted, waiver_id};
use super::{Given, given, target, tie};
use crate::commands::{CHANGES_MAX, Change};

/// Changes as given; every one that is malformed is told.
pub(in crate::grpc) fn changes(tenant: TenantId, changes: Vec<pb::Change>) -> Result<Vec<Change>, Fault> {
    if changes.len() > CHANGES_MAX {
        let problem = format!("holds {} changes, the limit is {CHANGES_MAX}", changes.len());
        return Err(Fault::invalid_field("changes", problem));
    }
    let mut converted = Vec::with_capacity(changes.len());
    let mut first: Option<Fault> = None;
    for (place, pb::Change { kind }) in changes.into_iter().enumerate() {
        let field = kind.as_ref().map_or_else(String::new, |kind| format!(".{}", field(kind)));
        match change(tenant, kind).map_err(|fault| fault.within(&format!("changes[{place}]{field}"))) {
            Ok(change) => converted.push(change),
            Err(fault) => match &mut first {
                Some(first) => first.fields.extend(fault.fields),
                None => first = Some(fault),
            },
        }
    }
    first.map_or(Ok(converted), Err)
}

const fn field(kind: &Kind) -> &'static str {
    match kind {
        Kind::CreatePolicy(_) => "create_policy",
        Kind::UpdatePolicy(_) => "update_policy",
        Kind::DeletePolicy(_) => "delete_policy",
        Kind::UndeletePolicy(_) => "undelete_policy",
        Kind::AssignPolicy(_) => "assign_policy",
        Kind::UnassignPolicy(_) => "unassign_policy",
        Kind::CreateWaiver(_) => "create_waiver",
        Kind::RevokeWaiver(_) => "revoke_waiver",
    }
}

/// What the parts say of parent, reason and the like is that of the whole.
fn change(tenant: TenantId, kind: Option<Kind>) -> Result<Change, Fault> {
    Ok(match kind.ok_or_else(|| Fault::new(muster_errors::ErrorCode::ArgumentInvalid, "must be set"))? {
        Kind::CreatePolicy(pb::CreatePolicyRequest { policy, request_id, .. }) => {
            let Given { name: _, profile, etag: _, content } = given(policy)?;
            Change::CreatePolicy { request: its_request(&request_id)?, profile, content }
        }
        Kind::UpdatePolicy(pb::UpdatePolicyRequest { policy, .. }) => {
            let Given { name, profile: _, etag, content } = given(policy)?;
            Change::UpdatePolicy { id: request::policy(tenant, "policy.name", &name)?, etag, content }
        }
        Kind::DeletePolicy(pb::DeletePolicyRequest { name, etag, .. }) => {
            Change::DeletePolicy { id: request::policy(tenant, "name", &name)?, etag }
        }
        Kind::UndeletePolicy(pb::UndeletePolicyRequest { name, .. }) => {
            Change::UndeletePolicy { id: request::policy(tenant, "name", &name)? }
        }
        Kind::AssignPolicy(pb::AssignPolicyRequest { policy, group, intent, priority, filter, .. }) => {
            Change::AssignPolicy {
                policy: request::policy(tenant, "policy", &policy)?,
                group: target(tenant, &group)?,
                tie: tie(intent, priority, filter)?,
            }
        }
        Kind::UnassignPolicy(pb::UnassignPolicyRequest { policy, group, .. }) => Change::UnassignPolicy {
            policy: request::policy(tenant, "policy", &policy)?,
            group: request::group(tenant, "group", &group)?,
        },
        Kind::CreateWaiver(pb::CreateWaiverRequest { waiver, request_id, .. }) => {
            let (grant, reason) = granted(tenant, waiver)?;
            Change::CreateWaiver { request: its_request(&request_id)?, grant, reason }
        }
        Kind::RevokeWaiver(pb::RevokeWaiverRequest { name, .. }) => {
            Change::RevokeWaiver { id: waiver_id(tenant, &name)? }
        }
    })
}

/// The request that the id of a new resource is derived from: without one its id could not be known beforehand.
fn its_request(text: &str) -> Result<RequestId, Fault> {
    if text.is_empty() {
        return Err(Fault::invalid_field("request_id", "must be set where something is created"));
    }
    request::id(text)
}
