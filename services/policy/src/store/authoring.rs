//! Rows of what admins decide.

use muster_catalog::RulesAsOf;
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, GroupId, PolicyId, RequestId, Timestamp};
use prost::Message;

use super::decoded;
use crate::domain::Origin;
use crate::domain::assignment::{Assigned, Intent, Priority, Tie};
use crate::domain::policy::OnUnassign;
use crate::domain::waiver::{End, Exempt, Grant, Known, Target};
use crate::projection::fleet::{CheckIns, PolicyRow};
use crate::wire;

#[derive(Clone, PartialEq, Message)]
struct StoredPolicy {
    #[prost(string, tag = "1")]
    display_name: String,
    #[prost(string, tag = "2")]
    profile: String,
    #[prost(message, repeated, tag = "3")]
    settings: Vec<pb::Setting>,
    #[prost(uint64, tag = "4")]
    revision: u64,
    #[prost(sint64, tag = "5")]
    create_micros: i64,
    #[prost(sint64, tag = "6")]
    update_micros: i64,
    #[prost(bool, tag = "7")]
    keep: bool,
    #[prost(sint64, optional, tag = "8")]
    delete_micros: Option<i64>,
    #[prost(string, tag = "9")]
    actor: String,
    #[prost(string, tag = "10")]
    reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAssignment {
    #[prost(bool, tag = "1")]
    exclude: bool,
    #[prost(sint64, tag = "2")]
    at_micros: i64,
    #[prost(uint32, tag = "3")]
    priority: u32,
    #[prost(string, tag = "4")]
    filter: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredWaiver {
    #[prost(bytes = "vec", tag = "1")]
    policy: Vec<u8>,
    #[prost(string, tag = "2")]
    setting: String,
    #[prost(bytes = "vec", tag = "3")]
    group: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    device: Vec<u8>,
    #[prost(string, tag = "5")]
    approver: String,
    #[prost(sint64, tag = "6")]
    expire_micros: i64,
    #[prost(string, tag = "7")]
    actor: String,
    #[prost(string, tag = "8")]
    reason: String,
    #[prost(bytes = "vec", tag = "9")]
    request: Vec<u8>,
    #[prost(sint64, tag = "10")]
    at_micros: i64,
    #[prost(sint64, optional, tag = "11")]
    expired_micros: Option<i64>,
    #[prost(sint64, optional, tag = "12")]
    revoked_micros: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredCheckIns {
    #[prost(message, optional, tag = "1")]
    values: Option<pb::CheckInSettings>,
    #[prost(uint64, tag = "2")]
    changes: u64,
    #[prost(sint64, optional, tag = "3")]
    update_micros: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRules {
    #[prost(uint32, tag = "1")]
    edition: u32,
}

/// A policy as a row.
#[must_use]
pub fn encode_policy(policy: &PolicyRow) -> Vec<u8> {
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
    } = policy;
    StoredPolicy {
        display_name: display_name.clone(),
        profile: profile.clone(),
        settings: wire::to_settings(settings),
        revision: *revision,
        create_micros: create_time.micros(),
        update_micros: update_time.micros(),
        keep: *on_unassign == OnUnassign::Keep,
        delete_micros: delete_time.map(Timestamp::micros),
        actor: actor.clone(),
        reason: reason.clone(),
    }
    .encode_to_vec()
}

/// A policy from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_policy(value: &[u8]) -> Result<PolicyRow, String> {
    let StoredPolicy {
        display_name,
        profile,
        settings,
        revision,
        create_micros,
        update_micros,
        keep,
        delete_micros,
        actor,
        reason,
    } = decoded(value)?;
    Ok(PolicyRow {
        display_name,
        profile,
        settings: wire::from_settings(settings)?,
        on_unassign: if keep { OnUnassign::Keep } else { OnUnassign::Revert },
        revision,
        create_time: Timestamp::from_micros(create_micros),
        update_time: Timestamp::from_micros(update_micros),
        delete_time: delete_micros.map(Timestamp::from_micros),
        actor,
        reason,
    })
}

/// An assignment as a row.
#[must_use]
pub fn encode_assignment(assigned: &Assigned) -> Vec<u8> {
    let Assigned { tie: Tie { intent, priority, filter }, at } = assigned;
    StoredAssignment {
        exclude: *intent == Intent::Exclude,
        at_micros: at.micros(),
        priority: priority.map_or(0, |priority| priority.number().into()),
        filter: filter.clone(),
    }
    .encode_to_vec()
}

/// An assignment from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_assignment(value: &[u8]) -> Result<Assigned, String> {
    let StoredAssignment { exclude, at_micros, priority, filter } = decoded(value)?;
    let intent = if exclude { Intent::Exclude } else { Intent::Include };
    let priority = match priority {
        0 => None,
        number => Some(Priority::new(number).ok_or_else(|| format!("priority {number}"))?),
    };
    Ok(Assigned { tie: Tie { intent, priority, filter }, at: Timestamp::from_micros(at_micros) })
}

/// A waiver as a row.
#[must_use]
pub fn encode_waiver(waiver: &Known) -> Vec<u8> {
    let Known { grant, origin, end } = waiver;
    let Grant { exempt, target, approver, expire } = grant;
    let Origin { actor, reason, request, at } = origin;
    let (group, device) = match target {
        Target::Group(group) => (group.as_bytes().to_vec(), Vec::new()),
        Target::Device(device) => (Vec::new(), device.as_bytes().to_vec()),
    };
    let (expired, revoked) = match end {
        None => (None, None),
        Some(End::Expired(at)) => (Some(*at), None),
        Some(End::Revoked(at)) => (None, Some(*at)),
    };
    StoredWaiver {
        policy: exempt.policy().map_or_else(Vec::new, |policy| policy.as_bytes().to_vec()),
        setting: exempt.setting().map_or_else(String::new, ToString::to_string),
        group,
        device,
        approver: approver.clone(),
        expire_micros: expire.micros(),
        actor: actor.clone(),
        reason: reason.clone(),
        request: request.as_bytes().to_vec(),
        at_micros: at.micros(),
        expired_micros: expired.map(Timestamp::micros),
        revoked_micros: revoked.map(Timestamp::micros),
    }
    .encode_to_vec()
}

/// A waiver from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_waiver(value: &[u8]) -> Result<Known, String> {
    let row: StoredWaiver = decoded(value)?;
    let policy = || PolicyId::from_slice(&row.policy).map_err(|error| error.to_string());
    let setting = || row.setting.parse().map_err(|_| format!("setting {:?}", row.setting));
    let exempt = match (row.policy.is_empty(), row.setting.is_empty()) {
        (true, true) => return Err("a waiver of nothing".into()),
        (true, false) => Exempt::Setting(setting()?),
        (false, true) => Exempt::Policy(policy()?),
        (false, false) => Exempt::SettingOf(policy()?, setting()?),
    };
    let target = if row.device.is_empty() {
        Target::Group(GroupId::from_slice(&row.group).map_err(|error| error.to_string())?)
    } else {
        Target::Device(DeviceId::from_slice(&row.device).map_err(|error| error.to_string())?)
    };
    let expired = row.expired_micros.map(|at| End::Expired(Timestamp::from_micros(at)));
    let revoked = row.revoked_micros.map(|at| End::Revoked(Timestamp::from_micros(at)));
    Ok(Known {
        grant: Grant {
            exempt,
            target,
            approver: row.approver,
            expire: Timestamp::from_micros(row.expire_micros),
        },
        origin: Origin {
            actor: row.actor,
            reason: row.reason,
            request: RequestId::from_slice(&row.request).map_err(|error| error.to_string())?,
            at: Timestamp::from_micros(row.at_micros),
        },
        end: expired.or(revoked),
    })
}

/// How devices check in as a row.
#[must_use]
pub fn encode_check_ins(row: &CheckIns) -> Vec<u8> {
    let CheckIns { values, changes, update_time } = row;
    StoredCheckIns {
        values: Some(wire::to_check_in_values(values)),
        changes: *changes,
        update_micros: update_time.map(Timestamp::micros),
    }
    .encode_to_vec()
}

/// How devices check in from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_check_ins(value: &[u8]) -> Result<CheckIns, String> {
    let StoredCheckIns { values, changes, update_micros } = decoded(value)?;
    Ok(CheckIns {
        values: wire::from_check_in_values(&values.ok_or("values are missing")?),
        changes,
        update_time: update_micros.map(Timestamp::from_micros),
    })
}

/// The edition of the rules as a row.
#[must_use]
pub fn encode_rules(rules: RulesAsOf) -> Vec<u8> {
    let edition = match rules {
        RulesAsOf::September2023 => 1,
        RulesAsOf::Current => 2,
    };
    StoredRules { edition }.encode_to_vec()
}

/// The edition of the rules from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_rules(value: &[u8]) -> Result<RulesAsOf, String> {
    match decoded::<StoredRules>(value)?.edition {
        1 => Ok(RulesAsOf::September2023),
        2 => Ok(RulesAsOf::Current),
        other => Err(format!("edition {other} of the rules")),
    }
}
