//! Lists, item by item: one that cannot be taken over does not take the others with it.

use std::collections::BTreeSet;

use muster_catalog::{Field, Kind, ObjectSchema, Setting, TextItems};
use muster_types::SettingValue;
use serde_json::{Map, Value};

use super::{Import, value};
use crate::place::Place;
use crate::report::{Finding, Reason};

/// Field of an exclusion that says whether its path is a folder.
const IS_DIRECTORY: &str = "isDirectory";

/// An item in the product's form, and where it stands.
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) path: String,
}

impl Import<'_> {
    /// The items of a list, mended; `None` if it is no list.
    pub(super) fn items(&mut self, setting: &Setting, value: &Value, place: &Place<'_>) -> Option<Vec<Item>> {
        // A text alone is an item of a list of texts.
        let alone = matches!(setting.kind, Kind::TextList { .. }) && value.is_string();
        let value = if alone {
            self.mended(&setting.id, &setting.kind, value, place).into_owned()
        } else {
            value.clone()
        };
        let Value::Array(values) = value else {
            let (reason, message) = value::refusal(setting, &value);
            self.find(Finding::new(place, reason, message).about(&setting.id));
            return None;
        };
        let mut items = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let place = Place::Item(place, index);
            match &setting.kind {
                Kind::ObjectList { schema, .. } => {
                    items.push(self.object(setting, schema, value, &place));
                }
                Kind::TextList { items: texts, .. } => {
                    items.extend(self.texts(setting, texts, value, &place));
                }
                Kind::Bool { .. }
                | Kind::Enum { .. }
                | Kind::Flags { .. }
                | Kind::Integer { .. }
                | Kind::Text(_) => {}
            }
        }
        Some(items)
    }

    /// One text, or several where commas join what could not stand together.
    fn texts(&mut self, setting: &Setting, items: &TextItems, value: &Value, place: &Place<'_>) -> Vec<Item> {
        let id = &setting.id;
        let path = place.to_string();
        let value = self.mended_text(id, items, value, place).into_owned();
        let fits = |text: &str| setting.from_wire_json(&Value::Array(vec![text.into()])).is_ok();
        if let Some(text) = value.as_str().filter(|text| text.contains(',') && !fits(text)) {
            let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            if parts.len() > 1 && parts.iter().all(|part| fits(part)) {
                let message = format!("{} is taken for {} items", value::shown(&value), parts.len());
                self.find(Finding::new(place, Reason::CommaJoined, message).about(id));
                let item = |part: &&str| Item { value: (*part).into(), path: path.clone() };
                return parts.iter().map(item).collect();
            }
        }
        vec![Item { value, path }]
    }

    /// An object with its fields mended, and without those that it cannot have.
    pub(super) fn object(
        &mut self,
        setting: &Setting,
        schema: &ObjectSchema,
        value: &Value,
        place: &Place<'_>,
    ) -> Item {
        let path = place.to_string();
        let Some(given) = value.as_object() else { return Item { value: value.clone(), path } };
        let mut object = Map::new();
        for (key, value) in given {
            let place = Place::Key(place, key);
            match schema.fields.iter().find(|field| field.key == *key) {
                Some(field) => {
                    let value = self.mended(&setting.id, &field.kind, value, &place).into_owned();
                    object.insert(key.clone(), value);
                }
                None => {
                    let fields: Vec<_> = schema.fields.iter().map(|field| field.key.as_str()).collect();
                    let message = format!("no field of such items: they have {}", fields.join(", "));
                    self.find(Finding::new(&place, Reason::UnknownKey, message).about(&setting.id));
                }
            }
        }
        for field in &schema.fields {
            if let Some(message) = unused(schema, field, &object) {
                object.shift_remove(&field.key);
                let place = Place::Key(place, &field.key);
                self.find(Finding::new(&place, Reason::UnusedField, message).about(&setting.id));
            }
        }
        if object.contains_key("path") && !object.contains_key(IS_DIRECTORY) {
            self.note_directory(setting, schema, place);
        }
        Item { value: Value::Object(object), path }
    }

    fn note_directory(&mut self, setting: &Setting, schema: &ObjectSchema, place: &Place<'_>) {
        let Some(field) = schema.fields.iter().find(|field| field.key == IS_DIRECTORY) else { return };
        let note = field.note.as_deref().unwrap_or("absent");
        let message = format!("{IS_DIRECTORY}: {note}");
        self.find(Finding::new(place, Reason::DirectoryUnclear, message).about(&setting.id));
    }

    /// Takes a list over: the items that the setting allows, each once, as many as fit.
    pub(super) fn take_list(&mut self, setting: &Setting, items: Vec<Item>, path: String) {
        // An empty list says something; one of which nothing could be taken over does not.
        let is_empty = items.is_empty();
        let mut seen = BTreeSet::new();
        let mut keys = BTreeSet::new();
        let mut taken = Vec::new();
        for item in items {
            match self.item(setting, &item) {
                Some(value) if !seen.insert(value.clone()) => {
                    let message = "stands in the list already";
                    self.find(Finding::new(&item.path, Reason::RepeatedItem, message).about(&setting.id));
                }
                Some(value) if key(setting, &value).is_some_and(|key| !keys.insert(key)) => {
                    let message = "an item with this key stands in the list already; the first counts";
                    self.find(Finding::new(&item.path, Reason::RepeatedItem, message).about(&setting.id));
                }
                Some(_) if taken.len() >= items_max(setting) => {
                    let message = format!("the list holds {} at most", items_max(setting));
                    self.find(Finding::new(&item.path, Reason::TooManyItems, message).about(&setting.id));
                }
                Some(value) => taken.push(value),
                None => {}
            }
        }
        if is_empty || !taken.is_empty() {
            self.taken.insert(setting.id.clone(), (joined(taken), path));
        }
    }

    /// A list of the one item, in the catalogue's form.
    fn item(&mut self, setting: &Setting, item: &Item) -> Option<SettingValue> {
        let alone = Value::Array(vec![item.value.clone()]);
        let value = setting.from_wire_json(&alone).ok();
        if value.is_none() {
            let (reason, message) = value::refusal(setting, &alone);
            self.find(Finding::new(&item.path, reason, message).about(&setting.id));
        }
        value
    }
}

/// Why a field cannot be used in an object, if it cannot and is there.
fn unused(schema: &ObjectSchema, field: &Field, object: &Map<String, Value>) -> Option<String> {
    let when = field.used_when.as_ref().filter(|_| object.contains_key(&field.key))?;
    let on = schema.field(&when.field)?;
    let Kind::Enum { values } = &on.kind else { return None };
    let wanted = values.iter().find(|value| value.id == when.value)?.wire.to_string();
    let found = object.get(&on.key)?.as_str()?;
    // A word that the product does not know is refused with the whole item.
    let is_known = values.iter().any(|value| value.wire.to_string() == found);
    (is_known && found != wanted).then(|| format!("means something only where {} is {wanted}", on.key))
}

fn items_max(setting: &Setting) -> usize {
    match &setting.kind {
        Kind::TextList { max_items, .. } | Kind::ObjectList { max_items, .. } => *max_items as usize,
        Kind::Bool { .. } | Kind::Enum { .. } | Kind::Flags { .. } | Kind::Integer { .. } | Kind::Text(_) => {
            1
        }
    }
}

/// The value of the field that may occur once in the list.
fn key(setting: &Setting, alone: &SettingValue) -> Option<SettingValue> {
    let Kind::ObjectList { schema, .. } = &setting.kind else { return None };
    let SettingValue::Objects(objects) = alone else { return None };
    objects.first()?.get(schema.unique_by.as_deref()?).cloned()
}

/// Lists of one item each, as one list in canonical form.
fn joined(lists: Vec<SettingValue>) -> SettingValue {
    let mut texts = Vec::new();
    let mut objects = Vec::new();
    for list in lists {
        match list {
            SettingValue::Strings(mut list) => texts.append(&mut list),
            SettingValue::Objects(mut list) => objects.append(&mut list),
            SettingValue::Boolean(_) | SettingValue::Integer(_) | SettingValue::Text(_) => {}
        }
    }
    if objects.is_empty() { SettingValue::Strings(texts) } else { SettingValue::Objects(objects) }
}
