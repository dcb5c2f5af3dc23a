//! Values made from a setting's type.

use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Field, Format, Kind, ObjectSchema, Rule, Setting, TextItems};
use muster_types::SettingValue;
use proptest::prelude::*;

/// Samples for the pattern-bound lists of the catalogue; patterns are few, and generating from them is not worth a parser.
fn samples(pattern: &str) -> Vec<String> {
    let candidates = ["80", "nfs", "fuse.sshfs", "{40e0ac32-46a5-438a-a0b2-2b479e8f2e90}"];
    let pattern = regex_lite::Regex::new(pattern).unwrap();
    candidates.iter().filter(|text| pattern.is_match(text)).map(ToString::to_string).collect()
}

fn formed(format: Format) -> &'static [&'static str] {
    match format {
        Format::PortRange => &["80", "443-8080", "0", "65535"],
        Format::IcmpType => &["3", "3:4", "1:*", "*"],
        Format::AddressRange => &["10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", "fe80::1"],
        Format::PlainUnixPath => &["/", "/opt/app"],
    }
}

fn text(items: &TextItems) -> BoxedStrategy<String> {
    let named: Vec<String> = items.values.iter().map(|value| value.id.clone()).collect();
    if !items.open {
        return proptest::sample::select(named).boxed();
    }
    if let Some(pattern) = &items.pattern {
        return proptest::sample::select(samples(pattern.as_str())).boxed();
    }
    if let Some(format) = items.format {
        let texts = formed(format).iter().map(ToString::to_string).chain(named).collect::<Vec<_>>();
        return proptest::sample::select(texts).boxed();
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
    let of_field = |field: &Field| -> Vec<(String, Rule)> {
        field.constraints.iter().filter_map(|c| Some((field.id.clone(), c.rule.clone()?))).collect()
    };
    let rules: Vec<_> = schema.fields.iter().flat_map(of_field).collect();
    fields
        .prop_map(move |fields| {
            let all: BTreeMap<_, _> =
                fields.iter().map(|(id, _, _, value)| (id.clone(), value.clone())).collect();
            let used = |when: &Option<muster_catalog::UsedWhen>| {
                when.as_ref().is_none_or(|when| all[&when.field] == SettingValue::Text(when.value.clone()))
            };
            let object = fields
                .iter()
                .filter(|(_, when, present, _)| *present && used(when))
                .map(|(id, _, _, value)| (id.clone(), value.clone()))
                .collect();
            consistent(&rules, object)
        })
        .boxed()
}

/// The object without what contradicts itself in it.
fn consistent(
    rules: &[(String, Rule)],
    mut object: BTreeMap<String, SettingValue>,
) -> BTreeMap<String, SettingValue> {
    for (id, rule) in rules {
        let Some(value) = object.get(id).cloned() else { continue };
        match rule {
            Rule::NotWith { other } => {
                object.remove(other);
            }
            Rule::Needs { own, condition } => {
                if own.as_ref().is_none_or(|own| *own == value) {
                    object.insert(condition.other.clone(), condition.values[0].clone());
                }
            }
            Rule::Form { format, .. } => {
                object.insert(id.clone(), SettingValue::Text(formed(*format)[0].to_owned()));
            }
            Rule::Beside { .. } => {}
        }
    }
    // A later rule may have taken from under an earlier one.
    for (id, rule) in rules {
        if let Rule::Needs { own, condition } = rule {
            let needed = object.get(id).is_some_and(|value| own.as_ref().is_none_or(|own| own == value));
            let given = object.get(&condition.other).is_some_and(|other| condition.values.contains(other));
            if needed && !given {
                object.remove(id);
            }
        }
    }
    object
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
        Kind::TextList { items, .. } => {
            let alone = items.alone.clone();
            proptest::collection::vec(text(items), 0..4)
                .prop_map(move |mut texts| {
                    texts.sort();
                    texts.dedup();
                    if let Some(alone) = alone.clone().filter(|alone| texts.contains(alone)) {
                        texts = vec![alone];
                    }
                    SettingValue::Strings(texts)
                })
                .boxed()
        }
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
