//! Values as files write them.

use muster_types::SettingValue;

use crate::file::{DefaultFile, ScalarFile};
use crate::model::{EnumValue, Kind, WireScalar};

/// A value as it is written.
pub(super) fn raw(value: DefaultFile) -> SettingValue {
    match value {
        DefaultFile::Scalar(ScalarFile::Bool(value)) => SettingValue::Boolean(value),
        DefaultFile::Scalar(ScalarFile::Integer(value)) => SettingValue::Integer(value),
        DefaultFile::Scalar(ScalarFile::Text(value)) => SettingValue::Text(value),
        DefaultFile::List(items) => SettingValue::Strings(items),
    }
}

/// Files write values as they stand on the wire; the domain knows named ones by their ids. What does not fit is left as
/// it is, and found when the value is checked against the type.
pub(super) fn domain(kind: &Kind, value: SettingValue) -> SettingValue {
    match (kind, value) {
        (Kind::TextList { items, .. }, SettingValue::Strings(texts)) => {
            SettingValue::Strings(texts.into_iter().map(|text| named(&items.values, text)).collect())
        }
        (Kind::Enum { values }, value) => {
            let wire = match &value {
                SettingValue::Integer(number) => WireScalar::Integer(*number),
                SettingValue::Text(text) => WireScalar::Text(text.clone()),
                SettingValue::Boolean(_) | SettingValue::Strings(_) | SettingValue::Objects(_) => {
                    return value;
                }
            };
            values
                .iter()
                .find(|candidate| candidate.wire == wire)
                .map_or(value, |found| SettingValue::Text(found.id.clone()))
        }
        (_, value) => value,
    }
}

/// The name of an item that has one.
pub(crate) fn named(values: &[EnumValue], item: String) -> String {
    let wire = WireScalar::Text(item);
    match values.iter().find(|value| value.wire == wire) {
        Some(value) => value.id.clone(),
        None => wire.to_string(),
    }
}
