//! Payloads as JSON: the protobuf JSON mapping, but with bytes as people read them.
//!
//! Fields that are not set are left out. Ids are UUIDs, digests and serial numbers hexadecimal digits, and bitmaps of
//! ordinals `{"count": n, "ordinals": [the first 20]}`; other bytes are base64. What newer writers added and this program
//! does not know is left out: programs that need it read the payload itself.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_types::Timestamp;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MapKey, ReflectMessage as _, Value};
use roaring::RoaringBitmap;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::Bytes;

/// Most ordinals of a bitmap that are written out.
pub const ORDINALS_MAX: usize = 20;

static CONTRACT: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The set is compiled in and read in a test; without it every type is unknown.
    DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).unwrap_or_default()
});

/// The compiled contract.
#[must_use]
pub fn contract() -> &'static DescriptorPool {
    &CONTRACT
}

/// A payload as JSON; nothing when the type is not known or the bytes are not of it.
#[must_use]
pub fn payload(kind: &str, bytes: &[u8]) -> Option<Json> {
    let descriptor = CONTRACT.get_message_by_name(kind)?;
    DynamicMessage::decode(descriptor, bytes).ok().map(|message| object(&message))
}

fn object(message: &DynamicMessage) -> Json {
    if let Some(text) = well_known(message) {
        return text;
    }
    let fields =
        message.fields().map(|(field, value)| (field.json_name().to_owned(), field_json(&field, value)));
    Json::Object(fields.collect())
}

fn field_json(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::List(values) => values.iter().map(|value| field_json(field, value)).collect(),
        Value::Map(entries) => {
            let kind = field.kind();
            let values = kind.as_message().and_then(|entry| entry.get_field_by_name("value"));
            let of = values.as_ref().unwrap_or(field);
            let mut entries: Vec<_> =
                entries.iter().map(|(key, value)| (key_text(key), field_json(of, value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(Map::from_iter(entries))
        }
        Value::Message(message) => object(message),
        Value::Bytes(bytes) => bytes_json(field.full_name(), bytes),
        Value::EnumNumber(number) => {
            let name =
                field.kind().as_enum().and_then(|kind| Some(kind.get_value(*number)?.name().to_owned()));
            name.map_or(json!(number), Json::from)
        }
        Value::String(text) => json!(text),
        Value::Bool(value) => json!(value),
        Value::I32(value) => json!(value),
        Value::U32(value) => json!(value),
        Value::I64(value) => json!(value.to_string()),
        Value::U64(value) => json!(value.to_string()),
        Value::F32(value) => json!(value),
        Value::F64(value) => json!(value),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn bytes_json(field: &str, bytes: &[u8]) -> Json {
    let opaque = || json!(STANDARD.encode(bytes));
    match Bytes::of(field) {
        Bytes::Id => Uuid::from_slice(bytes).map_or_else(|_| opaque(), |id| json!(id.to_string())),
        Bytes::Hex => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Bytes::Ordinals => RoaringBitmap::deserialize_from(bytes).map_or_else(
            |_| opaque(),
            |all| json!({"count": all.len(), "ordinals": all.iter().take(ORDINALS_MAX).collect::<Vec<_>>()}),
        ),
        Bytes::Opaque => opaque(),
    }
}

fn well_known(message: &DynamicMessage) -> Option<Json> {
    let number = |name: &str| {
        let value = message.get_field_by_name(name)?;
        value.as_i64().or_else(|| value.as_i32().map(i64::from))
    };
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => {
            let nanos = i32::try_from(number("nanos")?).ok()?;
            Some(json!(Timestamp::from_seconds_and_nanos(number("seconds")?, nanos).to_string()))
        }
        "google.protobuf.Duration" => {
            let (seconds, nanos) = (number("seconds")?, number("nanos")?);
            let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
            let fraction = match nanos.unsigned_abs() {
                0 => String::new(),
                nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
            };
            Some(json!(format!("{sign}{}{fraction}s", seconds.unsigned_abs())))
        }
        _ => None,
    }
}
