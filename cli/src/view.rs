//! Messages of the contract as JSON for people and programs: names as in the contract, enums as lower-case words.

use muster_proto::{convert, enroll, identity, log, policy, report};
use muster_types::SettingValue;
use serde_json::{Value, json};
use uuid::Uuid;

/// An enum constant without its prefix: `MANAGED_BY_MUSTER` as `muster`.
fn word(constant: &str, prefix: &str) -> String {
    constant.strip_prefix(prefix).unwrap_or(constant).to_lowercase()
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
pub fn setting_value(value: Option<&policy::v1::SettingValue>) -> Value {
    value
        .cloned()
        .and_then(|value| SettingValue::try_from(value).ok())
        .map_or(Value::Null, |value| serde_json::to_value(value).unwrap_or(Value::Null))
}

/// Who manages a device.
#[must_use]
pub fn managed_by(device: &enroll::v1::Device) -> String {
    word(device.managed_by().as_str_name(), "MANAGED_BY_")
}

/// How a device's enrollment came out.
#[must_use]
pub fn enrollment_status(device: &enroll::v1::Device) -> String {
    word(device.enrollment_status().as_str_name(), "ENROLLMENT_STATUS_")
}

/// Columns of a device.
pub const DEVICE: &[(&str, &str)] = &[
    ("device", "/id"),
    ("hostname", "/hostname"),
    ("os", "/os"),
    ("managed by", "/managed_by"),
    ("enrollment", "/enrollment_status"),
    ("onboarded", "/onboard_time"),
];

/// A device of the inventory.
#[must_use]
pub fn device(device: &enroll::v1::Device) -> Value {
    let facts = device.facts.clone().unwrap_or_default();
    json!({
        "name": device.name,
        "id": id(&device.name),
        "hostname": facts.hostname,
        "platform": word(facts.platform().as_str_name(), "PLATFORM_"),
        "os": facts.os_name,
        "kernel_release": facts.kernel_release,
        "architecture": facts.architecture,
        "agent_version": facts.agent_version,
        "board_vendor": facts.board_vendor,
        "product_name": facts.product_name,
        "security_products": facts.security_products.iter()
            .map(|product| json!({"id": product.id, "version": product.version})).collect::<Vec<_>>(),
        "managed_by": managed_by(device),
        "enrollment_status": enrollment_status(device),
        "enrollment_reason": device.enrollment_reason,
        "spiffe_id": device.spiffe_id,
        "onboard_time": time(device.onboard_time),
        "facts_change_time": time(device.facts_change_time),
    })
}

/// Columns of an onboarding token.
pub const TOKEN: &[(&str, &str)] = &[
    ("token", "/id"),
    ("uses", "/uses"),
    ("of", "/uses_max"),
    ("expires", "/expire_time"),
    ("revoked", "/revoke_time"),
    ("last used", "/last_use_time"),
];

/// An onboarding token; `secret` only when it was just made.
#[must_use]
pub fn token(token: &enroll::v1::OnboardingToken, secret: Option<&str>) -> Value {
    let mut value = json!({
        "name": token.name,
        "id": id(&token.name),
        "uses": token.uses,
        "uses_max": token.uses_max,
        "create_time": time(token.create_time),
        "expire_time": time(token.expire_time),
        "revoke_time": time(token.revoke_time),
        "last_use_time": time(token.last_use_time),
    });
    if let Some(secret) = secret {
        value["secret"] = json!(secret);
    }
    value
}

/// Columns of a group.
pub const GROUP: &[(&str, &str)] = &[
    ("group", "/id"),
    ("name", "/display_name"),
    ("kind", "/kind"),
    ("members", "/member_count"),
    ("changed", "/membership_change_time"),
];

/// A group.
#[must_use]
pub fn group(group: &identity::v1::Group) -> Value {
    json!({
        "name": group.name,
        "id": id(&group.name),
        "display_name": group.display_name,
        "kind": word(group.kind().as_str_name(), "GROUP_KIND_"),
        "member_count": group.member_count,
        "create_time": time(group.create_time),
        "membership_change_time": time(group.membership_change_time),
        "etag": group.etag,
    })
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
pub fn policy(policy: &policy::v1::Policy) -> Value {
    json!({
        "name": policy.name,
        "id": id(&policy.name),
        "display_name": policy.display_name,
        "profile": policy.profile,
        "revision": policy.revision,
        "setting_count": policy.settings.len(),
        "settings": policy.settings.iter()
            .map(|setting| (setting.id.clone(), setting_value(setting.value.as_ref())))
            .collect::<serde_json::Map<_, _>>(),
        "create_time": time(policy.create_time),
        "update_time": time(policy.update_time),
        "etag": policy.etag,
    })
}

/// Columns of an assignment.
pub const ASSIGNMENT: &[(&str, &str)] =
    &[("policy", "/policy"), ("group", "/group"), ("intent", "/intent"), ("since", "/create_time")];

/// An assignment.
#[must_use]
pub fn assignment(assignment: &policy::v1::Assignment) -> Value {
    json!({
        "name": assignment.name,
        "policy": assignment.name.split('/').nth(3).unwrap_or_default(),
        "group": id(&assignment.group),
        "intent": word(assignment.intent().as_str_name(), "ASSIGNMENT_INTENT_"),
        "create_time": time(assignment.create_time),
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
pub fn effective(effective: &policy::v1::EffectivePolicy) -> Vec<Value> {
    let source = |source: &policy::v1::SettingSource| {
        json!({"policy": id(&source.policy), "revision": source.revision,
               "groups": source.groups.iter().map(|group| id(group)).collect::<Vec<_>>()})
    };
    let names = |sources: &[&policy::v1::SettingSource]| {
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

/// Columns of a setting's status.
pub const SETTING: &[(&str, &str)] = &[
    ("setting", "/id"),
    ("desired", "/desired"),
    ("observed", "/observed"),
    ("state", "/state"),
    ("reason", "/reason"),
];

/// How a device stands with one setting.
#[must_use]
pub fn setting_status(status: &report::v1::SettingStatus) -> Value {
    json!({
        "id": status.id,
        "desired": setting_value(status.desired.as_ref()),
        "observed": setting_value(status.observed.as_ref()),
        "state": word(status.state().as_str_name(), "SETTING_STATE_"),
        "reason": if status.reason.is_empty() { Value::Null } else { json!(status.reason) },
        "message": if status.message.is_empty() { Value::Null } else { json!(status.message) },
    })
}

/// What a device last said, with each setting.
#[must_use]
pub fn device_report(report: &report::v1::DeviceReport) -> Value {
    let status = report.status.clone().unwrap_or_default();
    json!({
        "device": report.device,
        "check_in_status": word(report.check_in_status().as_str_name(), "CHECK_IN_STATUS_"),
        "policy_etag": hex(&status.policy_etag),
        "policy_version": status.policy_version,
        "apply_time": time(status.apply_time),
        "report_time": time(report.report_time),
        "refused_reason": status.refused_reason,
        "position": report.position,
        "settings": status.settings.iter().map(setting_status).collect::<Vec<_>>(),
    })
}

/// How a policy's devices stand.
#[must_use]
pub fn policy_report(report: &report::v1::PolicyReport) -> Value {
    let counts = report
        .counts
        .iter()
        .map(|count| (word(count.status().as_str_name(), "CHECK_IN_STATUS_"), json!(count.devices)));
    json!({
        "policy": report.policy,
        "targeted": report.targeted,
        "counts": counts.collect::<serde_json::Map<_, _>>(),
        "position": report.position,
    })
}

/// Columns of an event.
pub const EVENT: &[(&str, &str)] = &[
    ("time", "/time"),
    ("service", "/service"),
    ("pos", "/position"),
    ("type", "/type"),
    ("aggregate", "/aggregate_id"),
];

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
