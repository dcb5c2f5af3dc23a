//! Values as they stand on the device: rendered, and read back.

use muster_types::SettingValue;
use serde_json::{Map, Value};

use crate::check::check_value;
use crate::load::named;
use crate::model::{BoolWire, EnumValue, Field, Kind, ObjectSchema, Setting, TextItems, WireScalar};

/// What was read back is no value of the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {found} on the device is no value of the setting")]
pub struct WireMismatch {
    /// The setting's id.
    pub setting: String,
    /// What stood there, cut to 120 characters.
    pub found: String,
}

/// Longest piece of a foreign value that an error quotes, in characters.
const QUOTE_CHARS_MAX: usize = 120;

impl Setting {
    /// The value as the product on the device takes it. The value must have passed [`Setting::check`]; what would not
    /// have is written as it stands.
    #[must_use]
    pub fn to_wire_json(&self, value: &SettingValue) -> Value {
        to_wire(&self.kind, value)
    }

    /// Reads what stands on the device, in canonical form: what was written by [`Setting::to_wire_json`] reads back
    /// equal.
    ///
    /// # Errors
    /// [`WireMismatch`] when it is no value of this setting.
    pub fn from_wire_json(&self, wire: &Value) -> Result<SettingValue, WireMismatch> {
        from_wire(&self.kind, wire).and_then(|value| check_value(&self.kind, &value).ok()).ok_or_else(|| {
            let found = if self.secret { "a text".to_owned() } else { wire.to_string() };
            WireMismatch {
                setting: self.id.to_string(),
                found: found.chars().take(QUOTE_CHARS_MAX).collect(),
            }
        })
    }
}

fn to_wire(kind: &Kind, value: &SettingValue) -> Value {
    match (kind, value) {
        (Kind::Bool { wire: BoolWire::Number }, SettingValue::Boolean(value)) => i64::from(*value).into(),
        (Kind::Bool { wire: BoolWire::Word }, SettingValue::Boolean(value)) => value.to_string().into(),
        (Kind::Enum { values }, SettingValue::Text(id)) => wire_of(values, id),
        (Kind::Text(items), SettingValue::Text(text)) => wire_of(&items.values, text),
        (Kind::TextList { items, .. }, SettingValue::Strings(texts)) => {
            texts.iter().map(|text| wire_of(&items.values, text)).collect()
        }
        (Kind::ObjectList { schema, .. }, SettingValue::Objects(objects)) => objects
            .iter()
            .map(|object| {
                // In the order of the schema, so that equal policies give equal bytes.
                let fields = schema.fields.iter().filter_map(|Field { id, key, kind, .. }| {
                    object.get(id).map(|value| (key.clone(), to_wire(kind, value)))
                });
                Value::Object(fields.collect())
            })
            .collect(),
        (_, SettingValue::Boolean(value)) => (*value).into(),
        (_, SettingValue::Integer(value)) => (*value).into(),
        (_, SettingValue::Text(value)) => value.clone().into(),
        (_, SettingValue::Strings(values)) => values.clone().into(),
        (_, SettingValue::Objects(values)) => {
            debug_assert!(values.is_empty(), "a value that passed the check");
            Value::Array(Vec::new())
        }
    }
}

fn wire_of(values: &[EnumValue], id: &str) -> Value {
    match values.iter().find(|value| value.id == id).map(|value| &value.wire) {
        Some(WireScalar::Integer(number)) => (*number).into(),
        Some(WireScalar::Text(text)) => text.clone().into(),
        None => id.into(),
    }
}

fn from_wire(kind: &Kind, wire: &Value) -> Option<SettingValue> {
    match kind {
        Kind::Bool { wire: form } => match (form, wire) {
            (BoolWire::Native, Value::Bool(value)) => Some(SettingValue::Boolean(*value)),
            (BoolWire::Number, Value::Number(number)) => match number.as_i64() {
                Some(0) => Some(SettingValue::Boolean(false)),
                Some(1) => Some(SettingValue::Boolean(true)),
                Some(_) | None => None,
            },
            (BoolWire::Word, Value::String(text)) => text.parse().ok().map(SettingValue::Boolean),
            (BoolWire::Native | BoolWire::Number | BoolWire::Word, _) => None,
        },
        Kind::Enum { values } => values
            .iter()
            .find(|value| stands_for(value, wire))
            .map(|value| SettingValue::Text(value.id.clone())),
        Kind::Flags { .. } | Kind::Integer { .. } => wire.as_i64().map(SettingValue::Integer),
        Kind::Text(items) => text_from_wire(items, wire).map(SettingValue::Text),
        Kind::TextList { items, .. } => {
            let texts = wire.as_array()?.iter().map(|item| text_from_wire(items, item));
            texts.collect::<Option<_>>().map(SettingValue::Strings)
        }
        Kind::ObjectList { schema, .. } => {
            let objects = wire.as_array()?.iter().map(|item| object_from_wire(schema, item.as_object()?));
            objects.collect::<Option<_>>().map(SettingValue::Objects)
        }
    }
}

fn stands_for(value: &EnumValue, wire: &Value) -> bool {
    match &value.wire {
        WireScalar::Integer(number) => wire.as_i64() == Some(*number),
        WireScalar::Text(text) => wire.as_str() == Some(text),
    }
}

/// A named item stands on the wire under its wire text only; its name there is some other text.
fn text_from_wire(items: &TextItems, wire: &Value) -> Option<String> {
    let text = wire.as_str()?;
    let name = named(&items.values, text.to_owned());
    let is_value = items.values.iter().any(|value| stands_for(value, wire));
    (is_value || items.open).then_some(name)
}

fn object_from_wire(
    schema: &ObjectSchema,
    wire: &Map<String, Value>,
) -> Option<std::collections::BTreeMap<String, SettingValue>> {
    wire.iter()
        .map(|(key, value)| {
            let field = schema.fields.iter().find(|field| field.key == *key)?;
            Some((field.id.clone(), from_wire(&field.kind, value)?))
        })
        .collect()
}
