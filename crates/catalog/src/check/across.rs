//! What must hold across settings of a policy, and across fields of an object.

use std::collections::BTreeMap;

use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};

use crate::check::Violation;
use crate::check::value::{Mismatch, quote};
use crate::format::Format;
use crate::model::{Condition, Constraint, Kind, ObjectSchema, Profile, Rule, Setting};

/// How a condition stands.
enum Standing {
    Holds,
    /// The other has this value instead.
    Contradicted(SettingValue),
    /// Nothing is said of the other, and what holds without is not enough.
    Open,
}

/// The settings of a policy, or the fields of an object.
trait Siblings {
    fn value(&self, name: &str) -> Option<&SettingValue>;
    fn default(&self, name: &str) -> Option<&SettingValue>;
}

impl Condition {
    fn stands(&self, siblings: &impl Siblings) -> Standing {
        match siblings.value(&self.other).filter(|value| !is_nothing(value)) {
            Some(value) if self.values.contains(value) => Standing::Holds,
            Some(value) => Standing::Contradicted(value.clone()),
            None if siblings.default(&self.other).is_some_and(|value| self.values.contains(value)) => {
                Standing::Holds
            }
            None => Standing::Open,
        }
    }

    /// For people, after the name of what needs it: `X is a or b`.
    pub(crate) fn words(&self) -> String {
        let values: Vec<_> = self.values.iter().map(ToString::to_string).collect();
        format!("{} is {}", self.other, values.join(" or "))
    }
}

/// An empty list or text says nothing.
fn is_nothing(value: &SettingValue) -> bool {
    match value {
        SettingValue::Strings(items) => items.is_empty(),
        SettingValue::Objects(items) => items.is_empty(),
        SettingValue::Text(text) => text.is_empty(),
        SettingValue::Boolean(_) | SettingValue::Integer(_) => false,
    }
}

fn has_form(format: Format, value: &SettingValue) -> bool {
    match value {
        SettingValue::Text(text) => format.holds(text),
        SettingValue::Strings(texts) => texts.iter().all(|text| format.holds(text)),
        SettingValue::Boolean(_) | SettingValue::Integer(_) | SettingValue::Objects(_) => true,
    }
}

/// What a rule of a setting or field that has a value comes to.
enum Finding {
    Holds,
    /// It contradicts another.
    Contradicts(String),
    /// It depends on others of which nothing is said: what it needs.
    Open(String),
    /// Its own value has not the form.
    Malformed(String),
}

fn judge(rule: &Rule, value: &SettingValue, siblings: &impl Siblings) -> Finding {
    match rule {
        Rule::NotWith { other } => match siblings.value(other).filter(|value| !is_nothing(value)) {
            Some(_) => Finding::Contradicts(format!("cannot be set together with {other}")),
            None => Finding::Holds,
        },
        Rule::Needs { own, condition } => {
            if own.as_ref().is_some_and(|own| own != value) {
                return Finding::Holds;
            }
            match condition.stands(siblings) {
                Standing::Holds => Finding::Holds,
                Standing::Contradicted(found) => Finding::Contradicts(format!(
                    "means something only where {}; here it is {}",
                    condition.words(),
                    quote(&found.to_string())
                )),
                Standing::Open => Finding::Open(condition.words()),
            }
        }
        Rule::Beside { own, any_of } => {
            let needed = own.as_ref().is_none_or(|own| own == value);
            let set = |other: &String| siblings.value(other).is_some_and(|value| !is_nothing(value));
            if needed && !any_of.iter().any(set) {
                return Finding::Open(format!("{} is set", any_of.join(" or ")));
            }
            Finding::Holds
        }
        Rule::Form { format, unless } => {
            let excused = unless
                .as_ref()
                .is_some_and(|condition| matches!(condition.stands(siblings), Standing::Holds));
            if excused || has_form(*format, value) {
                return Finding::Holds;
            }
            let unless = unless.as_ref().map(|condition| format!(", unless {}", condition.words()));
            Finding::Malformed(format!("{}{}", format.describe(), unless.unwrap_or_default()))
        }
    }
}

struct Object<'a> {
    schema: &'a ObjectSchema,
    fields: &'a BTreeMap<String, SettingValue>,
}

impl Siblings for Object<'_> {
    fn value(&self, name: &str) -> Option<&SettingValue> {
        self.fields.get(name)
    }

    fn default(&self, name: &str) -> Option<&SettingValue> {
        self.schema.field(name)?.default.as_ref()
    }
}

/// What contradicts itself within an object. The object is all there is: what a field needs must be in it.
pub(super) fn within_object(schema: &ObjectSchema, fields: &BTreeMap<String, SettingValue>) -> Vec<Mismatch> {
    let object = Object { schema, fields };
    let mut mismatches = Vec::new();
    for field in &schema.fields {
        let Some(value) = fields.get(&field.id).filter(|value| !is_nothing(value)) else { continue };
        let rules = field.constraints.iter().filter_map(|constraint| constraint.rule.as_ref());
        for rule in rules {
            let (code, allowed) = match judge(rule, value, &object) {
                Finding::Holds => continue,
                Finding::Contradicts(words) => (ErrorCode::SettingsInconsistent, words),
                Finding::Open(needed) => (
                    ErrorCode::SettingsInconsistent,
                    format!("means something only where {needed}, which is not said"),
                ),
                // Products take it and do not honour it: a warning.
                Finding::Malformed(_) => continue,
            };
            mismatches.push(Mismatch {
                code,
                at: format!(".{}", field.id),
                found: quote(&value.to_string()),
                allowed,
            });
        }
    }
    mismatches
}

/// Texts of an object that products take and do not honour: field, text and the form it should have.
pub(crate) fn not_honoured(
    schema: &ObjectSchema,
    fields: &BTreeMap<String, SettingValue>,
) -> Vec<(String, String, String)> {
    let object = Object { schema, fields };
    let mut found = Vec::new();
    for field in &schema.fields {
        let Some(value) = fields.get(&field.id) else { continue };
        for rule in field.constraints.iter().filter_map(|constraint| constraint.rule.as_ref()) {
            if let Finding::Malformed(form) = judge(rule, value, &object) {
                found.push((field.id.clone(), quote(&value.to_string()), form));
            }
        }
    }
    found
}

struct Policy<'a> {
    profile: &'a Profile,
    settings: &'a BTreeMap<SettingId, SettingValue>,
}

impl Siblings for Policy<'_> {
    fn value(&self, name: &str) -> Option<&SettingValue> {
        self.settings.get(&self.profile.setting(name)?.id)
    }

    fn default(&self, name: &str) -> Option<&SettingValue> {
        self.profile.setting(name)?.default.as_ref()
    }
}

/// What contradicts itself within a policy.
pub(super) fn within_policy(
    profile: &Profile,
    settings: &BTreeMap<SettingId, SettingValue>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    each_finding(profile, settings, |setting, value, finding| {
        let (code, value, allowed) = match finding {
            Finding::Holds | Finding::Open(_) => return,
            Finding::Contradicts(words) => (ErrorCode::SettingsInconsistent, String::new(), words),
            Finding::Malformed(words) => {
                let value = if setting.secret { "the value".to_owned() } else { quote(&value.to_string()) };
                (ErrorCode::SettingOutOfRange, value, format!("expected {words}"))
            }
        };
        violations.push(Violation {
            code,
            subject: setting.id.to_string(),
            at: String::new(),
            value,
            allowed,
        });
    });
    violations.extend(too_many_items(profile, settings));
    violations
}

/// What depends on other settings that the policy does not set, and what it needs.
pub(crate) fn open_ends(
    profile: &Profile,
    settings: &BTreeMap<SettingId, SettingValue>,
) -> Vec<(SettingId, String)> {
    let mut open = Vec::new();
    each_finding(profile, settings, |setting, _, finding| {
        if let Finding::Open(needed) = finding {
            open.push((setting.id.clone(), needed));
        }
    });
    open
}

fn each_finding(
    profile: &Profile,
    settings: &BTreeMap<SettingId, SettingValue>,
    mut found: impl FnMut(&Setting, &SettingValue, Finding),
) {
    let policy = Policy { profile, settings };
    for (id, value) in settings.iter().filter(|(_, value)| !is_nothing(value)) {
        let Some(setting) = profile.setting(id.setting()) else { continue };
        let depends = setting.depends_on.as_ref().map(|depends| Rule::Needs {
            own: None,
            condition: Condition {
                other: depends.setting.setting().to_owned(),
                values: depends.values.clone(),
            },
        });
        let rules = setting.constraints.iter().filter_map(|Constraint { rule, .. }| rule.as_ref());
        for rule in depends.iter().chain(rules) {
            found(setting, value, judge(rule, value, &policy));
        }
    }
}

/// The bound of a profile is on all its lists together.
fn too_many_items(profile: &Profile, settings: &BTreeMap<SettingId, SettingValue>) -> Option<Violation> {
    let max = profile.max_items?;
    let lists = settings.iter().filter(|(id, _)| {
        let kind = profile.setting(id.setting()).map(|setting| &setting.kind);
        matches!(kind, Some(Kind::TextList { .. } | Kind::ObjectList { .. }))
    });
    let items: usize = lists
        .map(|(_, value)| match value {
            SettingValue::Strings(items) => items.len(),
            SettingValue::Objects(items) => items.len(),
            SettingValue::Boolean(_) | SettingValue::Integer(_) | SettingValue::Text(_) => 0,
        })
        .sum();
    let fits = u32::try_from(items).is_ok_and(|items| items <= max);
    (!fits).then(|| Violation {
        code: ErrorCode::SettingOutOfRange,
        subject: profile.id.clone(),
        at: String::new(),
        value: format!("{items} items"),
        allowed: format!("expected at most {max} in all lists of a policy together"),
    })
}
