//! Messages of the contract as JSON for people and programs: names as in the contract, enums as lower-case words.

use muster_proto::policy::v1 as pb;
use muster_proto::{convert, log};
use muster_types::SettingValue;
use serde_json::{Value, json};
use uuid::Uuid;

pub mod check_in;
pub mod enroll;
pub mod event;
pub mod explanation;
pub mod identity;
pub mod policy;
pub mod report;
pub mod report_settings;
pub mod timeline;

/// An enum constant without its prefix: `MANAGED_BY_MUSTER` as `muster`.
#[must_use]
pub fn word(constant: &str, prefix: &str) -> String {
    constant.strip_prefix(prefix).unwrap_or(constant).to_lowercase()
}

/// A moment as text; null when it is not set.
#[must_use]
pub fn moment(timestamp: Option<prost_types::Timestamp>) -> Value {
    time(timestamp)
}

fn time(timestamp: Option<prost_types::Timestamp>) -> Value {
    timestamp.map_or(Value::Null, |timestamp| json!(convert::moment(timestamp).to_string()))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The last segment of a resource name.
#[must_use]
pub fn id(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A setting's value; a message without one is null.
#[must_use]
pub fn setting_value(value: Option<&pb::SettingValue>) -> Value {
    value
        .cloned()
        .and_then(|value| SettingValue::try_from(value).ok())
        .map_or(Value::Null, |value| serde_json::to_value(value).unwrap_or(Value::Null))
}

/// Columns of a policy.
pub const POLICY: &[(&str, &str)] = &[
    ("policy", "/id"),
    ("name", "/display_name"),
    ("profile", "/profile"),
    ("revision", "/revision"),
    ("settings", "/setting_count"),
    ("updated", "/update_time"),
];

/// A policy.
#[must_use]
pub fn policy(policy: &pb::Policy) -> Value {
    json!({
        "name": policy.name,
        "id": id(&policy.name),
        "display_name": policy.display_name,
        "profile": policy.profile,
        "revision": policy.revision,
        "on_unassign": word(policy.on_unassign().as_str_name(), "ON_UNASSIGN_"),
        "setting_count": policy.settings.len(),
        "settings": policy.settings.iter()
            .map(|setting| (setting.id.clone(), setting_value(setting.value.as_ref())))
            .collect::<serde_json::Map<_, _>>(),
        "create_time": time(policy.create_time),
        "update_time": time(policy.update_time),
        "delete_time": time(policy.delete_time),
        "etag": policy.etag,
        "revision_id": policy.revision_id,
        "actor": policy.actor,
        "reason": policy.reason,
    })
}

/// Columns of an assignment.
pub const ASSIGNMENT: &[(&str, &str)] = &[
    ("group", "/group"),
    ("intent", "/intent"),
    ("priority", "/priority"),
    ("filter", "/filter"),
    ("since", "/create_time"),
];

/// An assignment.
#[must_use]
pub fn assignment(assignment: &pb::Assignment) -> Value {
    json!({
        "name": assignment.name,
        "policy": assignment.name.split('/').nth(3).unwrap_or_default(),
        "group": id(&assignment.group),
        "intent": word(assignment.intent().as_str_name(), "ASSIGNMENT_INTENT_"),
        "create_time": time(assignment.create_time),
        "priority": assignment.priority,
        "filter": assignment.filter,
        "warnings": assignment.warnings,
    })
}

/// Columns of an effective setting, in force or withheld.
pub const EFFECTIVE: &[(&str, &str)] = &[
    ("setting", "/id"),
    ("value", "/value"),
    ("in force", "/in_force"),
    ("why", "/why"),
    ("policies", "/policies"),
];

/// What is resolved for a device: settings in force, then those withheld.
#[must_use]
pub fn effective(effective: &pb::EffectivePolicy) -> Vec<Value> {
    let source = |source: &pb::SettingSource| {
        json!({"policy": id(&source.policy), "revision": source.revision,
               "groups": source.groups.iter().map(|group| id(group)).collect::<Vec<_>>()})
    };
    let names = |sources: &[&pb::SettingSource]| {
        sources.iter().map(|source| id(&source.policy).to_owned()).collect::<Vec<_>>().join(" ")
    };
    let in_force = effective.settings.iter().map(|setting| {
        let (id, value) = setting.setting.as_ref().map_or_else(Default::default, |setting| {
            (setting.id.clone(), setting_value(setting.value.as_ref()))
        });
        json!({
            "id": id, "value": value, "in_force": true, "why": format!("merge: {}", setting.merge_mode),
            "policies": names(&setting.sources.iter().collect::<Vec<_>>()),
            "sources": setting.sources.iter().map(source).collect::<Vec<_>>(),
        })
    });
    let withheld = effective.withheld.iter().map(|setting| {
        let sources: Vec<_> =
            setting.candidates.iter().filter_map(|candidate| candidate.source.as_ref()).collect();
        json!({
            "id": setting.id, "value": Value::Null, "in_force": false,
            "why": word(setting.reason().as_str_name(), "WITHHELD_REASON_"),
            "policies": names(&sources),
            "candidates": setting.candidates.iter().map(|candidate| json!({
                "value": setting_value(candidate.value.as_ref()),
                "source": candidate.source.as_ref().map(source),
            })).collect::<Vec<_>>(),
        })
    });
    in_force.chain(withheld).collect()
}

/// An event of the log, without its payload.
#[must_use]
pub fn event(envelope: &log::v1::Envelope) -> Value {
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).map_or(Value::Null, |id| json!(id.to_string()));
    let aggregate_id = Uuid::from_slice(&envelope.aggregate_id).unwrap_or_default();
    json!({
        "position": envelope.position,
        "service": envelope.service,
        "type": envelope.r#type.rsplit('.').next(),
        "stream": format!("{}/{}/{aggregate_id}", envelope.tenant, envelope.aggregate),
        "aggregate": envelope.aggregate,
        "aggregate_id": aggregate_id.to_string(),
        "version": envelope.version,
        "time": time(envelope.time),
        "actor": envelope.actor,
        "event_id": uuid(&envelope.event_id),
        "correlation_id": uuid(&envelope.correlation_id),
        "causation_id": uuid(&envelope.causation_id),
        "full_type": envelope.r#type,
    })
}
