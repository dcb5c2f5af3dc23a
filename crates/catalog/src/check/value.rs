//! A value against a type and its bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use muster_errors::ErrorCode;
use muster_types::SettingValue;

use crate::check::across;
use crate::check::words::{describe, describe_text};
use crate::model::{Kind, ObjectSchema, TextItems, WireScalar};

/// Longest piece of a value that a message quotes, in characters.
const QUOTE_CHARS_MAX: usize = 120;
/// Most mistakes told of one value; a list of thousands of bad items is one lesson.
const MISMATCHES_MAX: usize = 20;

pub(crate) fn quote(text: &str) -> String {
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

    pub(super) fn within(mut self, at: &str) -> Self {
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
    if let Some(name) = name_of(items, text) {
        return Ok(name);
    }
    let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let fits = items.open
        && (items.min_length..=items.max_length).contains(&length)
        && items.pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        && items.format.is_none_or(|format| format.holds(text))
        && !text.contains('\0');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Mismatch::range(format_args!("{text:?}"), describe_text(items)))
    }
}

/// The name under which a text stands in our domain: it is one, or it stands on the wire for one. Where only named items
/// are allowed they are written by their names.
fn name_of(items: &TextItems, text: &str) -> Option<String> {
    let is_wire = |wire: &WireScalar| match wire {
        WireScalar::Text(wire) if items.ignore_case => wire.eq_ignore_ascii_case(text),
        WireScalar::Text(wire) => wire == text,
        WireScalar::Integer(_) => false,
    };
    let by_name = items.values.iter().find(|value| value.id == text);
    let by_wire = || items.values.iter().find(|value| items.open && is_wire(&value.wire));
    by_name.or_else(by_wire).map(|value| value.id.clone())
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
    if let Some(alone) = items.alone.as_ref().filter(|alone| accepted.len() > 1 && accepted.contains(alone)) {
        mismatches
            .push(Mismatch::range(format_args!("{alone} among others"), format!("{alone} alone, or others")));
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
    if mismatches.is_empty() {
        mismatches = across::within_object(schema, &accepted);
    }
    settle(accepted, mismatches)
}

fn too_many(count: usize, max_items: u32) -> Vec<Mismatch> {
    let fits = u32::try_from(count).is_ok_and(|count| count <= max_items);
    if fits {
        Vec::new()
    } else {
        vec![Mismatch::range(format_args!("{count} items"), format!("at most {max_items}"))]
    }
}

fn settle<T>(accepted: T, mut mismatches: Vec<Mismatch>) -> Result<T, Vec<Mismatch>> {
    mismatches.truncate(MISMATCHES_MAX);
    if mismatches.is_empty() { Ok(accepted) } else { Err(mismatches) }
}
