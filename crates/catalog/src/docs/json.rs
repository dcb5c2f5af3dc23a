//! Everything that is known of a setting, for programs.

use muster_types::SettingValue;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::applicability::Channel;
use crate::check::words::describe as allowed;
use crate::model::{Condition, Constraint, DependsOn, EnumValue, FlagValue, Kind, Profile, Rule, Setting};
use crate::platforms::Edition;

/// Everything that is known of a setting; what is not known of it is left out.
#[must_use]
pub fn explain(profile: &Profile, setting: &Setting) -> Value {
    let mut all = json!({
        "name": setting.id,
        "key": setting.key,
        "title": setting.name,
        "group": setting.group,
        "profile": profile.id,
        "policy_type": profile.policy_type,
        "platform": profile.platform.to_string(),
        "type": setting.kind.type_name(),
        "allowed": allowed(&setting.kind),
        "default": setting.default,
        "settable": setting.settable(),
        "lands": plain(&setting.lands),
        "merge": setting.merge.as_str(),
        "merge_note": setting.merge_note,
        "tamper_protected": plain(&setting.tamper_protected),
        "tamper_condition": plain(&setting.tamper_condition),
        "support": support(profile, setting),
        "domain_controllers": !profile.refused_on_domain_controllers(Channel::Ssm),
        "min_agent": setting.min_agent,
        "depends_on": setting.depends_on.as_ref().map(|DependsOn { setting, values }| json!({ "setting": setting, "values": values })),
        "constraints": setting.constraints.iter().map(constraint).collect::<Vec<_>>(),
        "status": plain(&setting.status),
        "secret": setting.secret.then_some(true),
        "read_only": setting.read_only.then_some(true),
        "notes": setting.notes,
        "confidence": plain(&setting.confidence),
        "sources": profile.sources,
    });
    if let Some(all) = all.as_object_mut() {
        bounds(&setting.kind, all);
        all.retain(|_, value| !is_unsaid(value));
    }
    all
}

/// What derives its form cannot fail to have one.
fn plain(value: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !is_unsaid(value) && *value != Value::Bool(false));
    }
    value
}

fn is_unsaid(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    }
}

fn support(profile: &Profile, setting: &Setting) -> Value {
    let on = |channel| {
        let as_of =
            Edition::ALL.map(|as_of| (as_of.to_string(), plain(&setting.delivered(profile, channel, as_of))));
        Value::Object(as_of.into_iter().collect())
    };
    Value::Object(Channel::ALL.map(|channel| (channel.to_string(), on(channel))).into_iter().collect())
}

fn bounds(kind: &Kind, all: &mut Map<String, Value>) {
    let mut add = |name: &str, value: Value| {
        all.insert(name.to_owned(), value);
    };
    match kind {
        Kind::Bool { .. } => {}
        Kind::Enum { values } => {
            let values = values.iter().map(
                |EnumValue { id, wire, note }| json!({ "id": id, "wire": wire.to_string(), "note": note }),
            );
            add("values", values.collect());
        }
        Kind::Flags { values } => {
            add(
                "values",
                values.iter().map(|FlagValue { id, bits }| json!({ "id": id, "bits": bits })).collect(),
            );
        }
        Kind::Integer { min, max, unit } => {
            add("min", json!(min));
            add("max", json!(max));
            add("unit", json!(unit));
        }
        Kind::Text(items) => {
            add("min_length", json!(items.min_length));
            add("max_length", json!(items.max_length));
        }
        Kind::TextList { items, max_items } => {
            add("max_items", json!(max_items));
            add("values", items.values.iter().map(|value| json!({ "id": value.id })).collect());
        }
        Kind::ObjectList { schema, max_items } => {
            add("max_items", json!(max_items));
            add("unique_by", json!(schema.unique_by));
            let fields = schema.fields.iter().map(|field| {
                json!({
                    "name": field.id,
                    "key": field.key,
                    "type": field.kind.type_name(),
                    "allowed": allowed(&field.kind),
                    "required": field.required,
                    "constraints": field.constraints.iter().map(constraint).collect::<Vec<_>>(),
                })
            });
            add("fields", fields.collect());
        }
    }
}

fn constraint(constraint: &Constraint) -> Value {
    let Constraint { words, rule } = constraint;
    let condition = |condition: &Condition| {
        let Condition { other, values } = condition;
        json!({ "id": other, "values": values })
    };
    let own = |own: &Option<SettingValue>| json!(own);
    let mut all = json!({ "words": words });
    match rule {
        None => {}
        Some(Rule::NotWith { other }) => all["not_with"] = json!(other),
        Some(Rule::Needs { own: value, condition: other }) => {
            all["needs"] = condition(other);
            all["own"] = own(value);
        }
        Some(Rule::Beside { own: value, any_of }) => {
            all["beside"] = json!(any_of);
            all["own"] = own(value);
        }
        Some(Rule::Form { format, unless }) => {
            all["form"] = json!(format.describe());
            all["unless"] = unless.as_ref().map(condition).into();
        }
    }
    if let Some(all) = all.as_object_mut() {
        all.retain(|_, value| !is_unsaid(value));
    }
    all
}
