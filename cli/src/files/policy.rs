//! `kind: Policy`.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, RulesAsOf, Violation};
use muster_errors::ErrorCode;
use muster_proto::policy::v1::{OnUnassign, Policy, Setting};
use muster_types::{SettingId, SettingValue};

use super::fields::{Fields, Reader};
use super::node::{At, Key, Node, Value};

/// What a policy sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// Catalogue profile.
    pub profile: String,
    /// What becomes of the settings on a device that the policy no longer reaches.
    pub on_unassign: OnUnassign,
    /// The settings, in canonical form.
    pub settings: BTreeMap<SettingId, SettingValue>,
}

pub(super) const ON_UNASSIGN: &[(&str, OnUnassign)] =
    &[("revert", OnUnassign::Revert), ("keep", OnUnassign::Keep)];

impl PolicySpec {
    /// Reads `spec`, and checks it against the catalogue.
    pub(super) fn read(reader: &mut Reader<'_>, spec: Node) -> Option<Self> {
        let mut fields = Fields::of(reader, "spec", spec, &["profile", "onUnassign", "settings"])?;
        let on_unassign = fields.word(reader, "onUnassign", ON_UNASSIGN).unwrap_or(OnUnassign::Revert);
        let profile = fields.need(reader, "profile");
        let settings = fields.need(reader, "settings");
        let profile = super::fields::Text::of(reader, "profile", profile?)?;
        let settings = settings?;
        let Value::Map(entries) = settings.value else {
            reader
                .wrong(settings.at, format!("settings: expected a mapping, found {}", settings.value.kind()));
            return None;
        };
        let written = Written::read(reader, entries);
        match Catalogue::builtin().check(&profile.text, written.values()) {
            Ok(settings) => {
                // Whatever rules the tenant has, these are the ones that will stay.
                for warning in Catalogue::builtin().warnings(&profile.text, &settings, RulesAsOf::Current) {
                    let at = written.key(&warning.subject).unwrap_or(profile.at);
                    reader.warning(at, warning.to_string());
                }
                Some(Self { profile: profile.text, on_unassign, settings })
            }
            Err(violations) => {
                for violation in violations {
                    let of_profile = violation.code == ErrorCode::ProfileUnknown;
                    let at = if of_profile { Some(profile.at) } else { written.place(&violation) };
                    let at = at.unwrap_or(settings.at);
                    reader.mistake(violation.code, at, violation.to_string());
                }
                None
            }
        }
    }

    /// What the server has.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let settings = policy.settings.iter().cloned();
        Self {
            profile: policy.profile.clone(),
            on_unassign: match policy.on_unassign() {
                OnUnassign::Keep => OnUnassign::Keep,
                OnUnassign::Unspecified | OnUnassign::Revert => OnUnassign::Revert,
            },
            settings: settings.filter_map(|setting| setting.try_into().ok()).collect(),
        }
    }

    /// As the contract has it, with a name for people.
    #[must_use]
    pub fn policy(&self, display_name: &str) -> Policy {
        let Self { profile, on_unassign, settings } = self.clone();
        Policy {
            display_name: display_name.to_owned(),
            profile,
            settings: settings.into_iter().map(Setting::from).collect(),
            on_unassign: on_unassign.into(),
            ..Policy::default()
        }
    }
}

/// Settings as they stand in the file.
struct Written {
    entries: Vec<(SettingId, SettingValue, Key, Node)>,
}

impl Written {
    fn read(reader: &mut Reader<'_>, entries: Vec<(Key, Node)>) -> Self {
        let mut written: Vec<(SettingId, SettingValue, Key, Node)> = Vec::with_capacity(entries.len());
        let mut seen: BTreeMap<SettingId, u64> = BTreeMap::new();
        for (key, node) in entries {
            let id = match key.text.parse::<SettingId>() {
                Ok(id) => id,
                Err(error) => {
                    reader.mistake(ErrorCode::SettingUnknown, key.at, error.to_string());
                    continue;
                }
            };
            if let Some(line) = seen.insert(id.clone(), key.at.line) {
                let message = format!("{id}: is set twice; first on line {line}");
                reader.mistake(ErrorCode::SettingDuplicate, key.at, message);
            } else if let Some(value) = value(reader, &key.text, &node) {
                written.push((id, value, key, node));
            }
        }
        Self { entries: written }
    }

    fn values(&self) -> impl Iterator<Item = (SettingId, SettingValue)> {
        self.entries.iter().map(|(id, value, ..)| (id.clone(), value.clone()))
    }

    /// Where a setting's name stands.
    fn key(&self, id: &str) -> Option<At> {
        self.entries.iter().find(|(known, ..)| known.as_str() == id).map(|(.., key, _)| key.at)
    }

    /// Where what is wrong stands: the part of the value, or the setting's name.
    fn place(&self, violation: &Violation) -> Option<At> {
        let Violation { code, subject, at, .. } = violation;
        let (.., key, node) = self.entries.iter().find(|(id, ..)| id.as_str() == subject)?;
        let of_value = matches!(code, ErrorCode::SettingTypeMismatch | ErrorCode::SettingOutOfRange);
        Some(if of_value { part(node, at).at } else { key.at })
    }
}

/// The part of a value that a path such as `[2].path` leads to, or the last on the way that is there.
fn part<'a>(node: &'a Node, path: &str) -> &'a Node {
    let step = path.strip_prefix('[').map_or_else(
        || path.strip_prefix('.').map(|rest| rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()))),
        |rest| rest.split_once(']'),
    );
    let Some((name, rest)) = step else { return node };
    let next = match &node.value {
        Value::List(items) => name.parse().ok().and_then(|index: usize| items.get(index)),
        Value::Map(map) => map.iter().find(|(key, _)| key.text == name).map(|(_, value)| value),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Number(_) | Value::Text(_) => None,
    };
    next.map_or(node, |next| part(next, rest))
}

/// A setting's value. Which type it must have is the catalogue's to say.
fn value(reader: &mut Reader<'_>, id: &str, node: &Node) -> Option<SettingValue> {
    let mut wrong = |message: String| {
        reader.mistake(ErrorCode::SettingTypeMismatch, node.at, format!("{id}: {message}"));
        None
    };
    match &node.value {
        Value::Bool(value) => Some(SettingValue::Boolean(*value)),
        Value::Integer(value) => Some(SettingValue::Integer(*value)),
        Value::Text(text) => Some(SettingValue::Text(text.clone())),
        Value::List(items) => list(reader, id, items),
        Value::Null => wrong("has no value; leave the setting out instead".to_owned()),
        Value::Number(number) => wrong(format!("no setting has the value {number}")),
        Value::Map(_) => wrong("expected a value or a list, found a mapping".to_owned()),
    }
}

fn list(reader: &mut Reader<'_>, id: &str, items: &[Node]) -> Option<SettingValue> {
    let mut sound = true;
    let mut wrong = |at: At, message: String| {
        reader.mistake(ErrorCode::SettingTypeMismatch, at, format!("{id}: {message}"));
        sound = false;
    };
    if let Some(Node { value: Value::Map(_), .. }) = items.first() {
        let mut objects = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Value::Map(map) => objects.push(object(&mut wrong, map)),
                Value::Null
                | Value::Bool(_)
                | Value::Integer(_)
                | Value::Number(_)
                | Value::Text(_)
                | Value::List(_) => {
                    let found = item.value.kind();
                    wrong(item.at, format!("expected a mapping as the items before, found {found}"));
                }
            }
        }
        return sound.then_some(SettingValue::Objects(objects));
    }
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::Text(text) => texts.push(text.clone()),
            Value::Bool(_) | Value::Integer(_) | Value::Number(_) => {
                wrong(item.at, format!("expected a text, found {}; put it in quotes", item.value.kind()));
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                wrong(item.at, format!("expected a text, found {}", item.value.kind()));
            }
        }
    }
    sound.then_some(SettingValue::Strings(texts))
}

fn object(wrong: &mut impl FnMut(At, String), map: &[(Key, Node)]) -> BTreeMap<String, SettingValue> {
    let mut object = BTreeMap::new();
    for (key, node) in map {
        let value = match &node.value {
            Value::Bool(value) => SettingValue::Boolean(*value),
            Value::Integer(value) => SettingValue::Integer(*value),
            Value::Text(text) => SettingValue::Text(text.clone()),
            Value::List(items) => {
                let texts: Option<Vec<_>> = items.iter().map(text).collect();
                let Some(texts) = texts else {
                    wrong(node.at, format!("{}: expected a list of texts", key.text));
                    continue;
                };
                SettingValue::Strings(texts)
            }
            Value::Null | Value::Number(_) | Value::Map(_) => {
                wrong(node.at, format!("{}: no field has {} as value", key.text, node.value.kind()));
                continue;
            }
        };
        if object.insert(key.text.clone(), value).is_some() {
            wrong(key.at, format!("{} stands twice", key.text));
        }
    }
    object
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}
