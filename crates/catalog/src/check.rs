//! Values against the catalogue: all mistakes at once, each naming setting, value and what is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};

use crate::load::named;
use crate::model::{
    Catalogue, EnumValue, FlagValue, Kind, MergeMode, ObjectSchema, Profile, Setting, TextItems,
};

/// Longest piece of a value that a violation quotes, in characters.
const QUOTE_CHARS_MAX: usize = 120;
/// Most mistakes told of one value; a list of thousands of bad items is one lesson.
const MISMATCHES_MAX: usize = 20;
/// Most values that a message lists.
const LISTED_MAX: usize = 20;

/// One thing that is wrong with a policy's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind of mistake.
    pub code: ErrorCode,
    /// The setting's id as given, or the profile's where the profile is unknown.
    pub subject: String,
    /// Where within the value, for example `[2].path`; empty for the whole.
    pub at: String,
    /// The value, cut to 120 characters; empty where no value is at fault.
    pub value: String,
    /// What is allowed instead, as a fragment.
    pub allowed: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code: _, subject, at, value, allowed } = self;
        write!(f, "{subject}{at}: ")?;
        if !value.is_empty() {
            write!(f, "{value} is not allowed: ")?;
        }
        f.write_str(allowed)
    }
}

impl std::error::Error for Violation {}

impl Catalogue {
    /// Checks what a policy of a profile would set, and gives it in canonical form, sorted by id.
    ///
    /// Canonical: an empty list is `Strings`; an item of an open list that has a name stands under its name.
    ///
    /// # Errors
    /// Every [`Violation`], in the order of the settings given.
    pub fn check(
        &self,
        profile: &str,
        settings: impl IntoIterator<Item = (SettingId, SettingValue)>,
    ) -> Result<BTreeMap<SettingId, SettingValue>, Vec<Violation>> {
        let Some(profile) = self.profile(profile) else { return Err(vec![self.profile_unknown(profile)]) };
        let mut accepted = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut violations = Vec::new();
        for (id, value) in settings {
            if !seen.insert(id.clone()) {
                violations.push(Violation {
                    code: ErrorCode::SettingDuplicate,
                    subject: id.to_string(),
                    at: String::new(),
                    value: String::new(),
                    allowed: "is set twice; set it once".to_owned(),
                });
                continue;
            }
            match self.check_one(profile, &id, &value) {
                Ok(value) => {
                    accepted.insert(id, value);
                }
                Err(mut found) => violations.append(&mut found),
            }
        }
        if violations.is_empty() { Ok(accepted) } else { Err(violations) }
    }

    fn check_one(
        &self,
        profile: &Profile,
        id: &SettingId,
        value: &SettingValue,
    ) -> Result<SettingValue, Vec<Violation>> {
        let refused = |code, allowed: String| {
            vec![Violation {
                code,
                subject: id.to_string(),
                at: String::new(),
                value: String::new(),
                allowed,
            }]
        };
        if id.profile() != profile.id {
            let allowed = match self.setting(id) {
                Some(_) => format!("belongs to profile {}, this policy is of {}", id.profile(), profile.id),
                None => unknown(profile, id),
            };
            return Err(refused(ErrorCode::SettingUnknown, allowed));
        }
        let Some(setting) = profile.setting(id.setting()) else {
            return Err(refused(ErrorCode::SettingUnknown, unknown(profile, id)));
        };
        if setting.merge == MergeMode::PartOfItem {
            let allowed = "is a field of a list's items; set it within the list".to_owned();
            return Err(refused(ErrorCode::SettingUnknown, allowed));
        }
        if !setting.settable() {
            return Err(refused(ErrorCode::SettingNotOnChannel, not_on_channel(setting)));
        }
        setting.check(value)
    }

    fn profile_unknown(&self, profile: &str) -> Violation {
        let known = self.profiles.keys().map(String::as_str);
        Violation {
            code: ErrorCode::ProfileUnknown,
            subject: quote(profile),
            at: String::new(),
            value: String::new(),
            allowed: match nearest(profile, known.clone()) {
                Some(near) => format!("no such profile; did you mean {near}?"),
                None => format!("no such profile; there are {}", known.collect::<Vec<_>>().join(", ")),
            },
        }
    }
}

impl Setting {
    /// Checks a value against the setting's type and bounds alone, and gives it in canonical form.
    ///
    /// # Errors
    /// Every [`Violation`] within the value.
    pub fn check(&self, value: &SettingValue) -> Result<SettingValue, Vec<Violation>> {
        check_value(&self.kind, value).map_err(|mismatches| {
            mismatches
                .into_iter()
                .map(|Mismatch { code, at, found, allowed }| Violation {
                    code,
                    subject: self.id.to_string(),
                    at,
                    value: if self.secret { "the value".to_owned() } else { found },
                    allowed: format!("expected {allowed}"),
                })
                .collect()
        })
    }
}

fn not_on_channel(setting: &Setting) -> String {
    if setting.read_only {
        return "can be read, not set".to_owned();
    }
    format!("cannot be delivered to devices without MDM: it is {}", setting.channels.ssm.explain())
}

fn unknown(profile: &Profile, id: &SettingId) -> String {
    let known =
        profile.settings.iter().filter(|setting| setting.settable()).map(|setting| setting.id.as_str());
    match nearest(id.as_str(), known) {
        Some(near) => format!("no such setting; did you mean {near}?"),
        None => format!("no such setting in profile {}", profile.id),
    }
}

/// The nearest of some names, if it is near enough to be what was meant.
fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(nearness, _)| *nearness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted
}

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) code: ErrorCode,
    pub(crate) at: String,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

impl Mismatch {
    fn kind(value: &SettingValue, allowed: impl Into<String>) -> Self {
        let found = format!("{} {}", value.type_name(), quote(&value.to_string()));
        Self { code: ErrorCode::SettingTypeMismatch, at: String::new(), found, allowed: allowed.into() }
    }

    fn range(found: impl fmt::Display, allowed: impl Into<String>) -> Self {
        let found = quote(&format!("{found:}"));
        Self { code: ErrorCode::SettingOutOfRange, at: String::new(), found, allowed: allowed.into() }
    }

    fn within(mut self, at: &str) -> Self {
        self.at.insert_str(0, at);
        self
    }
}

/// Checks a value against a type and its bounds, and gives it in canonical form.
pub(crate) fn check_value(kind: &Kind, value: &SettingValue) -> Result<SettingValue, Vec<Mismatch>> {
    let wrong_type = || vec![Mismatch::kind(value, describe(kind))];
    match (kind, value) {
        (Kind::Bool { .. }, SettingValue::Boolean(_)) => Ok(value.clone()),
        (Kind::Enum { values }, SettingValue::Text(text)) => {
            if values.iter().any(|allowed| allowed.id == *text) {
                return Ok(value.clone());
            }
            Err(vec![Mismatch::range(format_args!("{text:?}"), describe(kind))])
        }
        (Kind::Flags { values }, SettingValue::Integer(number)) => {
            let known = values.iter().fold(0, |bits, flag| bits | flag.bits);
            if *number >= 0 && number & !known == 0 {
                return Ok(value.clone());
            }
            Err(vec![Mismatch::range(number, describe(kind))])
        }
        (Kind::Integer { min, max, .. }, SettingValue::Integer(number)) => {
            if (min..=max).contains(&number) {
                return Ok(value.clone());
            }
            Err(vec![Mismatch::range(number, describe(kind))])
        }
        (Kind::Text(items), SettingValue::Text(text)) => {
            check_text(items, text).map(SettingValue::Text).map_err(|mismatch| vec![mismatch])
        }
        (Kind::TextList { items, max_items }, SettingValue::Strings(texts)) => {
            check_texts(items, *max_items, texts).map(SettingValue::Strings)
        }
        (Kind::ObjectList { schema, max_items }, SettingValue::Objects(objects)) => {
            check_objects(schema, *max_items, objects)
        }
        // Untagged values cannot tell an empty list of objects from an empty list of texts; canonical is the latter.
        (Kind::ObjectList { .. }, SettingValue::Strings(texts)) if texts.is_empty() => Ok(value.clone()),
        (Kind::TextList { .. }, SettingValue::Objects(objects)) if objects.is_empty() => {
            Ok(SettingValue::Strings(Vec::new()))
        }
        (
            Kind::Bool { .. }
            | Kind::Enum { .. }
            | Kind::Flags { .. }
            | Kind::Integer { .. }
            | Kind::Text(_)
            | Kind::TextList { .. }
            | Kind::ObjectList { .. },
            _,
        ) => Err(wrong_type()),
    }
}

fn check_text(items: &TextItems, text: &str) -> Result<String, Mismatch> {
    let name = named(&items.values, text.to_owned());
    if items.values.iter().any(|value| value.id == name) && (items.open || name == text) {
        return Ok(name);
    }
    let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let fits = items.open
        && (items.min_length..=items.max_length).contains(&length)
        && items.pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        && !text.contains('\0');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Mismatch::range(format_args!("{text:?}"), describe_text(items)))
    }
}

fn check_texts(items: &TextItems, max_items: u32, texts: &[String]) -> Result<Vec<String>, Vec<Mismatch>> {
    let mut mismatches = too_many(texts.len(), max_items);
    let mut seen = BTreeSet::new();
    let mut accepted = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let checked = check_text(items, text).and_then(|text| {
            if seen.insert(text.clone()) { Ok(text) } else { Err(Mismatch::range(text, "each item once")) }
        });
        match checked {
            Ok(text) => accepted.push(text),
            Err(mismatch) => mismatches.push(mismatch.within(&format!("[{index}]"))),
        }
    }
    settle(accepted, mismatches)
}

fn check_objects(
    schema: &ObjectSchema,
    max_items: u32,
    objects: &[BTreeMap<String, SettingValue>],
) -> Result<SettingValue, Vec<Mismatch>> {
    if objects.is_empty() {
        return Ok(SettingValue::Strings(Vec::new()));
    }
    let mut mismatches = too_many(objects.len(), max_items);
    let mut keys = BTreeSet::new();
    let mut accepted = Vec::with_capacity(objects.len());
    for (index, object) in objects.iter().enumerate() {
        let at = format!("[{index}]");
        match check_object(schema, object) {
            Ok(object) => accepted.push(object),
            Err(found) => mismatches.extend(found.into_iter().map(|mismatch| mismatch.within(&at))),
        }
        let key = schema.unique_by.as_ref().and_then(|field| object.get(field));
        if key.is_some_and(|key| !keys.insert(key)) {
            let field = schema.unique_by.as_deref().unwrap_or_default();
            let found = key.map(ToString::to_string).unwrap_or_default();
            let once = Mismatch::range(found, "each value once in the list");
            mismatches.push(once.within(&format!("{at}.{field}")));
        }
    }
    settle(accepted, mismatches).map(SettingValue::Objects)
}

type Object = BTreeMap<String, SettingValue>;

fn check_object(schema: &ObjectSchema, object: &Object) -> Result<Object, Vec<Mismatch>> {
    let mut mismatches = Vec::new();
    let mut accepted = Object::new();
    for (name, value) in object {
        let at = format!(".{name}");
        let Some(field) = schema.field(name) else {
            let fields: Vec<_> = schema.fields.iter().map(|field| field.id.as_str()).collect();
            let allowed = format!("one of the fields {}", fields.join(", "));
            mismatches.push(Mismatch::range(format_args!("field {name:?}"), allowed).within(&at));
            continue;
        };
        match check_value(&field.kind, value) {
            Ok(value) => {
                accepted.insert(name.clone(), value);
            }
            Err(found) => mismatches.extend(found.into_iter().map(|mismatch| mismatch.within(&at))),
        }
    }
    for field in &schema.fields {
        let used = field.used_when.as_ref().is_none_or(
            |when| matches!(object.get(&when.field), Some(SettingValue::Text(value)) if *value == when.value),
        );
        let present = object.contains_key(&field.id);
        if used && field.required && !present {
            let allowed = format!("{} field {}", describe(&field.kind), field.id);
            mismatches.push(Mismatch::range("an object without it", allowed));
        }
        if let (false, true, Some(when)) = (used, present, &field.used_when) {
            let allowed = format!("it only where {} is {}", when.field, when.value);
            mismatches.push(Mismatch::range(format_args!("field {:?}", field.id), allowed));
        }
    }
    let any = &schema.require_any_of;
    if !any.is_empty() && !any.iter().any(|field| object.contains_key(field)) {
        mismatches
            .push(Mismatch::range("an object without any", format!("at least one of {}", any.join(", "))));
    }
    settle(accepted, mismatches)
}

fn too_many(count: usize, max_items: u32) -> Vec<Mismatch> {
    let over = u32::try_from(count).is_ok_and(|count| count <= max_items);
    if over {
        Vec::new()
    } else {
        vec![Mismatch::range(format_args!("{count} items"), format!("at most {max_items}"))]
    }
}

fn settle<T>(accepted: T, mut mismatches: Vec<Mismatch>) -> Result<T, Vec<Mismatch>> {
    mismatches.truncate(MISMATCHES_MAX);
    if mismatches.is_empty() { Ok(accepted) } else { Err(mismatches) }
}

/// What a type allows, as a fragment: `an integer from 1 to 64 (threads)`.
pub(crate) fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Bool { .. } => "true or false".to_owned(),
        Kind::Enum { values } => format!("one of {}", listed(values)),
        Kind::Flags { values } => {
            let names: Vec<_> = values
                .iter()
                .map(|FlagValue { id, bits }| format!("{bits} ({id})"))
                .take(LISTED_MAX)
                .collect();
            format!("an integer, the sum of {}", names.join(", "))
        }
        Kind::Integer { min, max, unit: Some(unit) } => {
            format!("an integer from {min} to {max} ({})", unit.replace('_', " "))
        }
        Kind::Integer { min, max, unit: None } => format!("an integer from {min} to {max}"),
        Kind::Text(items) => describe_text(items),
        Kind::TextList { items, max_items } => {
            format!("a list of at most {max_items} texts, each {}", describe_text(items))
        }
        Kind::ObjectList { schema, max_items } => {
            let fields: Vec<_> = schema.fields.iter().map(|field| field.id.as_str()).collect();
            format!("a list of at most {max_items} objects with the fields {}", fields.join(", "))
        }
    }
}

fn describe_text(items: &TextItems) -> String {
    if !items.open {
        return format!("one of {}", listed(&items.values));
    }
    let mut text = format!("a text of {} to {} characters", items.min_length, items.max_length);
    if let Some(pattern) = &items.pattern {
        text.push_str(&format!(" of the form {}", pattern.as_str()));
    }
    if !items.values.is_empty() {
        text.push_str(&format!(", or one of {}", listed(&items.values)));
    }
    text
}

fn listed(values: &[EnumValue]) -> String {
    let mut names: Vec<_> = values.iter().map(|value| value.id.as_str()).take(LISTED_MAX).collect();
    if values.len() > LISTED_MAX {
        names.push("…");
    }
    names.join(", ")
}
