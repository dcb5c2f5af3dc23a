//! What would change, object by object and field by field.

use std::fmt;

use muster_proto::enroll::v1::EnforcementScope;
use muster_proto::policy::v1::{Change as Wish, change};
use serde_json::{Map, Value, json};

use super::set::Kind;

/// Longest value that a table shows, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It goes.
    Delete,
    /// It changes.
    Update,
    /// It comes.
    Create,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Create => "create",
        })
    }
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Its path in `spec`, for example `settings.linux-antivirus/scan_archives`.
    pub field: String,
    /// On the server; null when it is not set.
    pub before: Value,
    /// In the files; null when it is not set.
    pub after: Value,
}

/// An object that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange {
    /// What happens.
    pub action: Action,
    /// To what.
    pub kind: Kind,
    /// Its name for people.
    pub title: String,
    /// Its resource name, also of one that does not exist yet.
    pub name: String,
    /// The fields.
    pub fields: Vec<FieldChange>,
    /// How it is brought about.
    pub steps: Vec<Step>,
}

/// A call that brings about a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Define a group.
    CreateGroup {
        /// Derives the group's id.
        request_id: String,
        /// Name for people.
        display_name: String,
        /// The rule; none for a static group.
        rule: Option<String>,
        /// Devices of a static group.
        devices: Vec<String>,
    },
    /// Give a group another rule.
    ChangeRule {
        /// The rule.
        rule: String,
        /// What the group must still be.
        etag: String,
    },
    /// Change the devices of a static group.
    ModifyMembers {
        /// Devices that come.
        add: Vec<String>,
        /// Devices that go.
        remove: Vec<String>,
        /// What the group must still be.
        etag: String,
    },
    /// Delete a group.
    DeleteGroup {
        /// What the group must still be.
        etag: String,
    },
    /// Part of the change-set.
    Wish(Box<change::Kind>),
    /// Change the enforcement scope.
    Scope {
        /// The change.
        scope: Box<EnforcementScope>,
        /// What the scope must still be.
        etag: String,
    },
}

/// The change-set of changes, in an order in which each finds what it needs.
#[must_use]
pub fn wishes(changes: &[ObjectChange]) -> Vec<Wish> {
    let steps = changes.iter().flat_map(|change| &change.steps);
    let mut kinds: Vec<_> = steps
        .filter_map(|step| match step {
            Step::Wish(kind) => Some(&**kind),
            Step::CreateGroup { .. }
            | Step::ChangeRule { .. }
            | Step::ModifyMembers { .. }
            | Step::DeleteGroup { .. }
            | Step::Scope { .. } => None,
        })
        .collect();
    // What goes makes room for what comes: names are free, and a waiver is replaced.
    kinds.sort_by_key(|kind| match kind {
        change::Kind::RevokeWaiver(_) => 0,
        change::Kind::UnassignPolicy(_) => 1,
        change::Kind::DeletePolicy(_) => 2,
        change::Kind::UndeletePolicy(_) => 3,
        change::Kind::CreatePolicy(_) => 4,
        change::Kind::UpdatePolicy(_) => 5,
        change::Kind::AssignPolicy(_) => 6,
        change::Kind::CreateWaiver(_) => 7,
    });
    kinds.into_iter().map(|kind| Wish { kind: Some(kind.clone()) }).collect()
}

/// The fields that differ; with `only_given`, only those that `after` has.
#[must_use]
pub fn fields(before: &Map<String, Value>, after: &Map<String, Value>, only_given: bool) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", before, after, only_given, &mut changes);
    changes
}

fn compare(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    only_given: bool,
    changes: &mut Vec<FieldChange>,
) {
    let none = Map::new();
    let mut names: Vec<_> = before.keys().filter(|_| !only_given).chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (before.get(name), after.get(name)) {
            (before, after) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                compare(&field, before, after, only_given, changes);
            }
            (Some(Value::Object(before)), None) => compare(&field, before, &none, only_given, changes),
            (None, Some(Value::Object(after))) => compare(&field, &none, after, only_given, changes),
            (before, after) => {
                let value = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
                changes.push(FieldChange { field, before: value(before), after: value(after) });
            }
        }
    }
}

/// Rows for people: action, kind, name, field, before, after.
#[must_use]
pub fn rows(changes: &[ObjectChange]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for change in changes {
        let head = [change.action.to_string(), change.kind.to_string(), change.title.clone()];
        // Of what comes or goes the fields are no news.
        let fields: &[FieldChange] = if change.action == Action::Update { &change.fields } else { &[] };
        if fields.is_empty() {
            rows.push([head.clone().to_vec(), vec![String::new(); 3]].concat());
        }
        for (index, field) in fields.iter().enumerate() {
            let head = if index == 0 { head.clone() } else { Default::default() };
            let FieldChange { field, before, after } = field;
            rows.push([head.to_vec(), vec![field.clone(), shown(before), shown(after)]].concat());
        }
    }
    rows
}

/// A value for people, cut where it is long.
#[must_use]
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARS_MAX - 1).chain(['…']).collect()
}

/// The changes for programs.
#[must_use]
pub fn json(changes: &[ObjectChange]) -> Value {
    let field = |FieldChange { field, before, after }: &FieldChange| json!({"field": field, "before": before, "after": after});
    let items: Vec<_> = changes
        .iter()
        .map(|change| {
            json!({
                "action": change.action.to_string(),
                "kind": change.kind.as_str(),
                "title": change.title,
                "name": change.name,
                "fields": change.fields.iter().map(field).collect::<Vec<_>>(),
            })
        })
        .collect();
    let count = |action| changes.iter().filter(|change| change.action == action).count();
    json!({
        "changes": items,
        "create": count(Action::Create),
        "update": count(Action::Update),
        "delete": count(Action::Delete),
    })
}
