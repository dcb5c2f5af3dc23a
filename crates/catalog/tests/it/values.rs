//! Values made from a setting's type.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Field, Kind, ObjectSchema, Setting, TextItems};
use muster_types::SettingValue;
use proptest::prelude::*;

/// Samples for the pattern-bound lists of the catalogue; patterns are few, and generating from them is not worth a parser.
fn samples(pattern: &str) -> Vec<String> {
    let candidates = ["80", "443-8080", "3:4", "1:*", "*", "nfs", "fuse.sshfs"];
    let pattern = regex_lite::Regex::new(pattern).unwrap();
    candidates.iter().filter(|text| pattern.is_match(text)).map(ToString::to_string).collect()
}

fn text(items: &TextItems) -> BoxedStrategy<String> {
    let named: Vec<String> = items.values.iter().map(|value| value.id.clone()).collect();
    if !items.open {
        return proptest::sample::select(named).boxed();
    }
    if let Some(pattern) = &items.pattern {
        return proptest::sample::select(samples(pattern.as_str())).boxed();
    }
    let free = proptest::collection::vec(
        proptest::char::range('a', 'ÿ'),
        items.min_length as usize..=items.max_length.min(24) as usize,
    )
    .prop_map(String::from_iter);
    if named.is_empty() { free.boxed() } else { prop_oneof![free, proptest::sample::select(named)].boxed() }
}

fn object(schema: &ObjectSchema) -> BoxedStrategy<BTreeMap<String, SettingValue>> {
    let fields: Vec<_> = schema
        .fields
        .iter()
        .map(|Field { id, kind, required, used_when, .. }| {
            let must = *required || schema.require_any_of.contains(id);
            (
                Just(id.clone()),
                Just(used_when.clone()),
                prop::bool::ANY.prop_map(move |b| b || must),
                value(kind),
            )
        })
        .collect();
    fields
        .prop_map(|fields| {
            let all: BTreeMap<_, _> =
                fields.iter().map(|(id, _, _, value)| (id.clone(), value.clone())).collect();
            let used = |when: &Option<muster_catalog::UsedWhen>| {
                when.as_ref().is_none_or(|when| all[&when.field] == SettingValue::Text(when.value.clone()))
            };
            fields
                .iter()
                .filter(|(_, when, present, _)| *present && used(when))
                .map(|(id, _, _, value)| (id.clone(), value.clone()))
                .collect()
        })
        .boxed()
}

/// A value of a type, in canonical form.
pub(crate) fn value(kind: &Kind) -> BoxedStrategy<SettingValue> {
    match kind {
        Kind::Bool { .. } => prop::bool::ANY.prop_map(SettingValue::Boolean).boxed(),
        Kind::Enum { values } => {
            let ids: Vec<_> = values.iter().map(|value| value.id.clone()).collect();
            proptest::sample::select(ids).prop_map(SettingValue::Text).boxed()
        }
        Kind::Flags { values } => {
            let bits: Vec<_> = values.iter().map(|flag| flag.bits).collect();
            let length = bits.len();
            proptest::sample::subsequence(bits, 0..=length)
                .prop_map(|bits| SettingValue::Integer(bits.iter().fold(0, |sum, bit| sum | bit)))
                .boxed()
        }
        Kind::Integer { min, max, .. } => (*min..=*max).prop_map(SettingValue::Integer).boxed(),
        Kind::Text(items) => text(items).prop_map(SettingValue::Text).boxed(),
        Kind::TextList { items, .. } => proptest::collection::vec(text(items), 0..4)
            .prop_map(|mut texts| {
                texts.sort();
                texts.dedup();
                SettingValue::Strings(texts)
            })
            .boxed(),
        Kind::ObjectList { schema, max_items } => {
            let unique_by = schema.unique_by.clone();
            proptest::collection::vec(object(schema), 0..=(*max_items).min(4) as usize)
                .prop_map(move |mut objects| {
                    if let Some(key) = &unique_by {
                        objects.sort_by(|a, b| a[key].cmp(&b[key]));
                        objects.dedup_by(|a, b| a[key] == b[key]);
                    }
                    if objects.is_empty() {
                        SettingValue::Strings(vec![])
                    } else {
                        SettingValue::Objects(objects)
                    }
                })
                .boxed()
        }
    }
}

/// A setting with a value of its type.
pub(crate) fn setting_and_value(
    wanted: impl Fn(&Setting) -> bool,
) -> impl Strategy<Value = (&'static Setting, SettingValue)> {
    let settings: Vec<_> = Catalogue::builtin().settings().filter(|setting| wanted(setting)).collect();
    proptest::sample::select(settings).prop_flat_map(|setting| (Just(setting), value(&setting.kind)))
}
