//! From settings to what lands on a device.
//!
//! Deterministic: equal settings give equal bytes, whatever their order was.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Platform, Setting};
use muster_types::{SettingId, SettingValue};
use serde_json::{Map, Value};

use crate::place::Form;
use crate::{json, plist};

/// What settings became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The file's text, or the listing.
    pub text: String,
    /// Settings that have no place in it, and why, sorted.
    pub left_out: BTreeMap<SettingId, String>,
}

/// Renders settings that passed the catalogue's check into a form of managed configuration.
#[must_use]
pub fn file(catalogue: &Catalogue, form: Form, settings: &BTreeMap<SettingId, SettingValue>) -> Rendered {
    let mut root = Map::new();
    let mut left_out = BTreeMap::new();
    for (id, value) in settings {
        if let Err(reason) = put(catalogue, form, &mut root, id, value) {
            left_out.insert(id.clone(), reason);
        }
    }
    let mut root = Value::Object(root);
    root.sort_all_objects();
    let text = match form {
        Form::MdatpJson => format!("{root:#}\n"),
        Form::WdavPlist => plist::write(&root),
    };
    Rendered { text, left_out }
}

fn put(
    catalogue: &Catalogue,
    form: Form,
    root: &mut Map<String, Value>,
    id: &SettingId,
    value: &SettingValue,
) -> Result<(), String> {
    let setting = known(catalogue, id)?;
    let path = form.path(setting).ok_or_else(|| elsewhere(catalogue, setting, form))?;
    let value = setting.to_wire_json(value);
    if form == Form::WdavPlist && !holds(&value) {
        return Err("a property list cannot hold the control characters in it".to_owned());
    }
    json::set(root, path, value, |_| {}).map_err(|place| format!("{place} is set to a value already"))
}

/// Whether a property list can hold all texts of a value.
fn holds(value: &Value) -> bool {
    match value {
        Value::String(text) => plist::can_hold(text),
        Value::Array(items) => items.iter().all(holds),
        Value::Object(object) => object.values().all(holds),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

pub(crate) fn known<'c>(catalogue: &'c Catalogue, id: &SettingId) -> Result<&'c Setting, String> {
    catalogue.setting(id).ok_or_else(|| "the catalogue has no such setting".to_owned())
}

fn elsewhere(catalogue: &Catalogue, setting: &Setting, form: Form) -> String {
    let (name, its) = match form {
        Form::MdatpJson => ("the managed JSON file", Platform::Linux),
        Form::WdavPlist => ("the managed property list", Platform::Macos),
    };
    other_platform(catalogue, setting, name, its).unwrap_or_else(|| format!("has no place in {name}"))
}

/// Why a setting of another platform has no place somewhere.
pub(crate) fn other_platform(
    catalogue: &Catalogue,
    setting: &Setting,
    name: &str,
    its: Platform,
) -> Option<String> {
    let platform = catalogue.profile(setting.id.profile())?.platform;
    (platform != its).then(|| format!("is for {}; {name} is of {}", platform.name(), its.name()))
}
