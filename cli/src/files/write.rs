//! Objects as files.

use muster_proto::enroll::v1::{EntitlementKind, RulesAsOf, ScopeMode};
use muster_proto::policy::v1::{AssignmentIntent, OnUnassign};
use serde_json::{Map, Value, json};

use super::assignment::{AssignmentSpec, INTENT};
use super::enforcement_scope::{EDITION, MODE, PRODUCT, ScopeSpec};
use super::group::GroupSpec;
use super::policy::{ON_UNASSIGN, PolicySpec};
use super::set::{API_VERSION, Kind, Spec};
use super::waiver::{Target, WaiverSpec};

/// What a file says of an object.
#[must_use]
pub fn document(name: &str, spec: &Spec) -> Value {
    let kind = match spec {
        Spec::Policy(_) => Kind::Policy,
        Spec::Group(_) => Kind::Group,
        Spec::Assignment(_) => Kind::Assignment,
        Spec::EnforcementScope(_) => Kind::EnforcementScope,
        Spec::Waiver(_) => Kind::Waiver,
    };
    let mut document = json!({"apiVersion": API_VERSION, "kind": kind.as_str()});
    if !name.is_empty() {
        document["metadata"] = json!({"name": name});
    }
    document["spec"] = Value::Object(fields(spec));
    document
}

/// The fields of `spec`, those that are not set left out.
#[must_use]
pub fn fields(spec: &Spec) -> Map<String, Value> {
    let fields = match spec {
        Spec::Policy(spec) => policy(spec),
        Spec::Group(spec) => group(spec),
        Spec::Assignment(spec) => assignment(spec),
        Spec::EnforcementScope(spec) => scope(spec),
        Spec::Waiver(spec) => waiver(spec),
    };
    match fields {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn policy(spec: &PolicySpec) -> Value {
    let PolicySpec { profile, on_unassign, settings } = spec;
    let settings = settings.iter().map(|(id, value)| (id.to_string(), json!(value)));
    json!({
        "profile": profile,
        "onUnassign": word(ON_UNASSIGN, *on_unassign, OnUnassign::Revert),
        "settings": settings.collect::<Map<_, _>>(),
    })
}

fn group(spec: &GroupSpec) -> Value {
    match spec {
        GroupSpec::Rule(rule) => json!({"rule": rule}),
        GroupSpec::Static(devices) => {
            let devices: Vec<_> = devices.iter().map(|device| &device.name).collect();
            json!({"static": {"devices": devices}})
        }
    }
}

fn assignment(spec: &AssignmentSpec) -> Value {
    let AssignmentSpec { policy, group, intent, priority, filter } = spec;
    json!({
        "policy": policy.name,
        "group": group.name,
        "intent": word(INTENT, *intent, AssignmentIntent::Include),
        "priority": priority,
        "filter": if filter.is_empty() { Value::Null } else { json!(filter) },
    })
}

fn scope(spec: &ScopeSpec) -> Value {
    let mode = |mode: Option<ScopeMode>| mode.map(|mode| word(MODE, mode, ScopeMode::Off));
    let mut entitlement = Map::new();
    if let Some(kind) = spec.entitlement {
        entitlement.insert("kind".to_owned(), json!(word(PRODUCT, kind, EntitlementKind::Endpoint)));
    }
    if let Some(seats) = spec.seats {
        entitlement.insert("seats".to_owned(), json!(seats));
    }
    json!({
        "windowsClient": mode(spec.windows_client),
        "windowsServer": mode(spec.windows_server),
        "domainControllers": mode(spec.domain_controllers),
        "linux": mode(spec.linux),
        "macos": mode(spec.macos),
        "tag": spec.tag,
        "trustDeviceTags": spec.trust_device_tags,
        "allowChannel": spec.allow_channel,
        "configMgrAuthority": spec.config_mgr_authority,
        "includeCloudDefender": spec.include_cloud_defender,
        "entitlement": if entitlement.is_empty() { Value::Null } else { Value::Object(entitlement) },
        "rulesAsOf": spec.rules_as_of.map(|edition| word(EDITION, edition, RulesAsOf::Current)),
        "legacyLabels": spec.legacy_labels,
    })
}

fn waiver(spec: &WaiverSpec) -> Value {
    let WaiverSpec { policy, setting, target, reason, approver, expires } = spec;
    let (group, device) = match target {
        Target::Group(group) => (Some(&group.name), None),
        Target::Device(device) => (None, Some(&device.name)),
    };
    json!({
        "policy": policy.as_ref().map(|policy| &policy.name),
        "setting": setting,
        "group": group,
        "device": device,
        "reason": reason,
        "approver": approver,
        "expires": expires.to_string(),
    })
}

/// The word for a value; that of the default for one that has none.
fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T, default: T) -> &'static str {
    let of = |wanted: T| words.iter().find(|(_, value)| *value == wanted).map(|(word, _)| *word);
    of(value).or_else(|| of(default)).unwrap_or_default()
}
