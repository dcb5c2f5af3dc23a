//! Values: what is unmistakable though it is not written as the product wants it, and why others are refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use muster_catalog::{EnumValue, Kind, Setting, TextItems, WireScalar};
use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};
use serde_json::Value;

use super::{Import, said};
use crate::place::Place;
use crate::report::{Finding, Reason};

/// Longest piece of a value that a finding quotes, in characters.
const QUOTE_CHARS_MAX: usize = 80;
/// Most violations that a finding tells of one value.
const VIOLATIONS_MAX: usize = 3;

impl Import<'_> {
    /// The value in the form that the product takes, where what was meant is beyond doubt; else as it is.
    pub(super) fn mended<'v>(
        &mut self,
        id: &SettingId,
        kind: &Kind,
        value: &'v Value,
        place: &Place<'_>,
    ) -> Cow<'v, Value> {
        if let (Kind::TextList { items, .. }, Value::Array(texts)) = (kind, value) {
            let texts = texts.iter().enumerate().map(|(index, text)| {
                self.mended_text(id, items, text, &Place::Item(place, index)).into_owned()
            });
            return Cow::Owned(texts.collect());
        }
        match mend(kind, value) {
            Some((reason, mended)) => {
                let message = format!("{} is taken for {mended}", shown(value));
                self.find(Finding::new(place, reason, message).about(id));
                Cow::Owned(mended)
            }
            None => Cow::Borrowed(value),
        }
    }

    /// The same for an item of a list of texts.
    pub(super) fn mended_text<'v>(
        &mut self,
        id: &SettingId,
        items: &TextItems,
        value: &'v Value,
        place: &Place<'_>,
    ) -> Cow<'v, Value> {
        let mended =
            if items.open { None } else { value.as_str().and_then(|text| word(&items.values, text)) };
        match mended {
            Some((reason, mended)) => {
                let message = format!("{} is taken for {mended}", shown(value));
                self.find(Finding::new(place, reason, message).about(id));
                Cow::Owned(mended)
            }
            None => Cow::Borrowed(value),
        }
    }
}

fn mend(kind: &Kind, value: &Value) -> Option<(Reason, Value)> {
    match (kind, value) {
        (Kind::Bool { .. }, Value::String(text)) => {
            let text = text.trim();
            let value = match text {
                _ if text.eq_ignore_ascii_case("true") => true,
                _ if text.eq_ignore_ascii_case("false") => false,
                _ => return None,
            };
            Some((Reason::TextForBoolean, value.into()))
        }
        (Kind::Bool { .. }, Value::Number(number)) => match number.as_i64() {
            Some(0) => Some((Reason::NumberForBoolean, false.into())),
            Some(1) => Some((Reason::NumberForBoolean, true.into())),
            Some(_) | None => None,
        },
        (Kind::Enum { values }, Value::String(text)) => word(values, text),
        (Kind::Enum { values }, Value::Bool(on)) => {
            let has = |text: &str| values.iter().any(|value| value.wire == WireScalar::Text(text.to_owned()));
            let word = if *on { "enabled" } else { "disabled" };
            (has("enabled") && has("disabled")).then(|| (Reason::BooleanForWord, word.into()))
        }
        (Kind::Integer { .. } | Kind::Flags { .. }, Value::String(text)) => {
            let number: i64 = text.trim().parse().ok()?;
            Some((Reason::TextForNumber, number.into()))
        }
        (Kind::Integer { .. } | Kind::Flags { .. }, Value::Number(number)) if number.is_f64() => {
            let whole = format!("{:.0}", number.as_f64().filter(|real| real.fract() == 0.0)?);
            Some((Reason::RealForInteger, whole.parse::<i64>().ok()?.into()))
        }
        (Kind::TextList { .. }, Value::String(text)) => {
            Some((Reason::TextForList, Value::Array(vec![text.as_str().into()])))
        }
        _ => None,
    }
}

/// A word that is known with other capitals, or a number written as a text.
fn word(values: &[EnumValue], text: &str) -> Option<(Reason, Value)> {
    let trimmed = text.trim();
    let mut found = None;
    for value in values {
        match &value.wire {
            WireScalar::Text(known) if known == text => return None,
            WireScalar::Text(known) if known.eq_ignore_ascii_case(trimmed) => {
                found = Some((Reason::LetterCase, known.clone().into()));
            }
            WireScalar::Integer(known) if known.to_string() == trimmed => {
                found = Some((Reason::TextForNumber, (*known).into()));
            }
            WireScalar::Text(_) | WireScalar::Integer(_) => {}
        }
    }
    found
}

/// Why a value, which is none of the setting, is refused. Of a list, the value is a list of the one item.
pub(super) fn refusal(setting: &Setting, value: &Value) -> (Reason, String) {
    let violations = plain(&setting.kind, value).and_then(|value| setting.check(&value).err());
    let Some(violations) = violations else {
        let message = format!("{} where {} is expected", shown(value), expected(&setting.kind));
        return (Reason::WrongType, message);
    };
    let reason = if violations.iter().any(|violation| violation.code == ErrorCode::SettingTypeMismatch) {
        Reason::WrongType
    } else {
        Reason::OutOfRange
    };
    let messages: Vec<_> = violations.iter().take(VIOLATIONS_MAX).map(said).collect();
    (reason, messages.join("; "))
}

const fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool { .. } => "true or false",
        Kind::Enum { .. } => "one of the product's words",
        Kind::Flags { .. } | Kind::Integer { .. } => "a whole number",
        Kind::Text(_) => "a text",
        Kind::TextList { .. } => "a list of texts",
        Kind::ObjectList { .. } => "a list of objects",
    }
}

/// The value as the catalogue sees it, whether it is allowed or not; `None` where it has no such form.
fn plain(kind: &Kind, value: &Value) -> Option<SettingValue> {
    match (kind, value) {
        (Kind::ObjectList { schema, .. }, Value::Array(items)) => {
            let object = |item: &Value| -> Option<BTreeMap<String, SettingValue>> {
                let fields = item.as_object()?.iter().map(|(key, value)| {
                    let field = schema.fields.iter().find(|field| field.key == *key);
                    Some(match field {
                        Some(field) => (field.id.clone(), plain(&field.kind, value)?),
                        None => (key.clone(), plain_text(value)?),
                    })
                });
                fields.collect()
            };
            items.iter().map(object).collect::<Option<_>>().map(SettingValue::Objects)
        }
        (Kind::TextList { items, .. }, Value::Array(texts)) => {
            let texts = texts.iter().map(|text| Some(named(&items.values, text.as_str()?)));
            texts.collect::<Option<_>>().map(SettingValue::Strings)
        }
        (Kind::Enum { values }, Value::String(text)) => Some(SettingValue::Text(named(values, text))),
        (_, value) => plain_text(value),
    }
}

fn plain_text(value: &Value) -> Option<SettingValue> {
    match value {
        Value::Bool(value) => Some(SettingValue::Boolean(*value)),
        Value::Number(number) => number.as_i64().map(SettingValue::Integer),
        Value::String(text) => Some(SettingValue::Text(text.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn named(values: &[EnumValue], text: &str) -> String {
    let value = values.iter().find(|value| matches!(&value.wire, WireScalar::Text(wire) if wire == text));
    value.map_or_else(|| text.to_owned(), |value| value.id.clone())
}

/// A value, as a message quotes it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null (or a date, or data)".to_owned(),
        Value::Array(items) if items.len() != 1 => format!("a list of {}", items.len()),
        Value::Object(object) => format!("an object of {} keys", object.len()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let text = value.to_string();
            let mut short: String = text.chars().take(QUOTE_CHARS_MAX).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            short
        }
    }
}

/// How many values without values in them a value is made of.
pub(super) fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(leaves).sum(),
        Value::Object(object) => object.values().map(leaves).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// Whether a text somewhere in the value is so.
pub(super) fn any_text(value: &Value, is_so: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_so)),
        Value::Object(object) => object.values().any(|value| any_text(value, is_so)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
