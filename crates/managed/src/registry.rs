//! The registry of Windows: where settings land there, as a listing of `key :: value = type:data`, a line each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use muster_catalog::{Catalogue, Platform, Setting, Tamper};
use muster_types::{SettingId, SettingValue};
use serde_json::Value;

use crate::render::{Rendered, known, other_platform};

/// Between a key and the name of a value, in the catalogue and in the listing.
const SEPARATOR: &str = " :: ";
/// What the catalogue puts behind a place that was inferred.
const DERIVED: &str = "(derived)";
/// The data of an item of a list whose items are values of their own.
const ITEM_DATA: &str = "0";

/// A value of the registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: String,
    name: String,
    data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Data {
    Dword(u32),
    Text(String),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{} = ", self.key, one_line(&self.name))?;
        match &self.data {
            Data::Dword(number) => write!(f, "REG_DWORD:{number}"),
            Data::Text(text) => write!(f, "REG_SZ:{}", one_line(text)),
        }
    }
}

/// A text without ends of lines and other control characters in it.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_unicode());
            escaped.is_none().then_some(c).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// Lists what settings that passed the catalogue's check become in the registry, sorted. Two settings may want the same
/// item of a list: it stands once.
#[must_use]
pub fn listing(catalogue: &Catalogue, settings: &BTreeMap<SettingId, SettingValue>) -> Rendered {
    let mut entries = BTreeSet::new();
    let mut left_out = BTreeMap::new();
    for (id, value) in settings {
        match known(catalogue, id).and_then(|setting| land(catalogue, setting, value)) {
            Ok(landed) => entries.extend(landed),
            Err(reason) => drop(left_out.insert(id.clone(), reason)),
        }
    }
    let text = entries.iter().map(|entry| format!("{entry}\n")).collect();
    Rendered { text, left_out }
}

fn land(catalogue: &Catalogue, setting: &Setting, value: &SettingValue) -> Result<Vec<Entry>, String> {
    if let Some(reason) = other_platform(catalogue, setting, "the registry", Platform::Windows) {
        return Err(reason);
    }
    let lands = &setting.lands;
    let Some(place) = lands.registry.as_deref() else {
        return Err(match &lands.csp {
            Some(csp) => format!("lands by its configuration service provider alone: {csp}"),
            None => "has no known place in the registry".to_owned(),
        });
    };
    if place.ends_with(DERIVED) {
        return Err("the form of its registry values is not documented".to_owned());
    }
    if setting.tamper_protected == Tamper::Switch {
        return Err("the registry shows its state, and does not set it".to_owned());
    }
    match (place.split_once(SEPARATOR), value) {
        (Some((key, name)), value) => {
            // Some names are paths below the key.
            let (below, name) = name.rsplit_once('\\').map_or(("", name), |(below, name)| (below, name));
            let key = if below.is_empty() { key.to_owned() } else { format!("{key}\\{below}") };
            Ok(vec![Entry { key, name: name.to_owned(), data: data(setting, value)? }])
        }
        (None, SettingValue::Strings(items)) => Ok(items
            .iter()
            .map(|item| Entry {
                key: place.to_owned(),
                name: item.clone(),
                data: Data::Text(ITEM_DATA.to_owned()),
            })
            .collect()),
        (None, _) => Err("has no known value in the registry".to_owned()),
    }
}

fn data(setting: &Setting, value: &SettingValue) -> Result<Data, String> {
    let lands = &setting.lands;
    if let SettingValue::Boolean(on) = value {
        return Ok(Data::Dword(u32::from(*on != lands.registry_inverted)));
    }
    match setting.to_wire_json(value) {
        Value::Number(number)
            if lands.registry_type.as_deref().is_some_and(|kind| kind.starts_with("REG_SZ")) =>
        {
            Ok(Data::Text(number.to_string()))
        }
        Value::Number(number) => {
            let number = number.as_u64().and_then(|number| u32::try_from(number).ok());
            number.map(Data::Dword).ok_or_else(|| "a DWORD cannot hold the value".to_owned())
        }
        Value::String(text) => Ok(Data::Text(text)),
        Value::Array(items) => {
            let separator =
                lands.list_separator.as_deref().ok_or("the form of its registry value is not documented")?;
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            if items.iter().any(|item| item.contains(separator)) {
                return Err(format!("an item has {separator} in it, which separates the items"));
            }
            Ok(Data::Text(items.join(separator)))
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => {
            Err("has no known form in the registry".to_owned())
        }
    }
}
