//! How values of several policies are brought together, by the catalogue's mode.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_catalog::{Kind, MergeMode, Setting};
use muster_types::SettingValue;

use super::{Candidate, Source};

type Object = BTreeMap<String, SettingValue>;

/// A value that a policy offers.
pub(super) struct Offer<'a> {
    pub(super) value: &'a SettingValue,
    pub(super) source: Arc<Source>,
}

impl Offer<'_> {
    pub(super) fn candidate(&self) -> Candidate {
        Candidate { value: self.value.clone(), source: self.source.clone() }
    }
}

/// What came of the offers for one setting.
pub(super) struct Merged {
    /// The value in force and whose values are in it.
    pub(super) value: Option<(SettingValue, Vec<Arc<Source>>)>,
    /// What contradicts, and is not in the value.
    pub(super) conflicting: Vec<Candidate>,
}

/// Merges at least one offer, sorted by policy.
///
/// `per_rule` settings are one rule each, so that a contradicted rule is a contradicted setting. What cannot be joined
/// because it is no list is compared.
pub(super) fn merge(setting: &Setting, offers: &[Offer<'_>]) -> Merged {
    match setting.merge {
        MergeMode::Conflict | MergeMode::PerRule | MergeMode::PartOfItem => agree(offers),
        MergeMode::Union => union(offers).unwrap_or_else(|| agree(offers)),
        MergeMode::Concatenate => concatenate(offers).unwrap_or_else(|| agree(offers)),
        MergeMode::ByKey => key_of(setting).map_or_else(|| agree(offers), |key| by_key(key, offers)),
    }
}

fn sources(offers: &[Offer<'_>]) -> Vec<Arc<Source>> {
    offers.iter().map(|offer| offer.source.clone()).collect()
}

/// Equal values are in force; different ones are all withheld.
fn agree(offers: &[Offer<'_>]) -> Merged {
    let mut values = offers.iter().map(|offer| offer.value);
    let first = values.next();
    if values.all(|value| Some(value) == first) {
        return Merged {
            value: first.map(|value| (value.clone(), sources(offers))),
            conflicting: Vec::new(),
        };
    }
    Merged { value: None, conflicting: offers.iter().map(Offer::candidate).collect() }
}

/// The items of all lists; `None` when a value is no list. An empty list of objects is written as one of texts.
fn items<'a>(offers: &'a [Offer<'_>]) -> Option<(Vec<&'a String>, Vec<&'a Object>)> {
    let (mut texts, mut objects) = (Vec::new(), Vec::new());
    for offer in offers {
        match offer.value {
            SettingValue::Strings(items) => texts.extend(items),
            SettingValue::Objects(items) => objects.extend(items),
            SettingValue::Boolean(_) | SettingValue::Integer(_) | SettingValue::Text(_) => return None,
        }
    }
    (texts.is_empty() || objects.is_empty()).then_some((texts, objects))
}

fn list(texts: Vec<String>, objects: Vec<Object>) -> SettingValue {
    if objects.is_empty() { SettingValue::Strings(texts) } else { SettingValue::Objects(objects) }
}

/// A set: sorted, without duplicates.
fn union(offers: &[Offer<'_>]) -> Option<Merged> {
    let (texts, objects) = items(offers)?;
    let texts: BTreeSet<_> = texts.into_iter().cloned().collect();
    let objects: BTreeSet<_> = objects.into_iter().cloned().collect();
    let value = list(texts.into_iter().collect(), objects.into_iter().collect());
    Some(Merged { value: Some((value, sources(offers))), conflicting: Vec::new() })
}

/// All items in the order of policies, contradictions included; an item that stands there already is left out.
fn concatenate(offers: &[Offer<'_>]) -> Option<Merged> {
    let (texts, objects) = items(offers)?;
    let value = list(distinct(texts), distinct(objects));
    Some(Merged { value: Some((value, sources(offers))), conflicting: Vec::new() })
}

fn distinct<T: Ord + Clone>(items: Vec<&T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(*item)).cloned().collect()
}

fn key_of(setting: &Setting) -> Option<&str> {
    match &setting.kind {
        Kind::ObjectList { schema, .. } => schema.unique_by.as_deref(),
        Kind::Bool { .. }
        | Kind::Enum { .. }
        | Kind::Flags { .. }
        | Kind::Integer { .. }
        | Kind::Text(_)
        | Kind::TextList { .. } => None,
    }
}

/// Items with one key must be equal; a contradicted key is withheld alone.
fn by_key(key: &str, offers: &[Offer<'_>]) -> Merged {
    let mut by_key: BTreeMap<Option<&SettingValue>, Vec<(&Object, &Offer<'_>)>> = BTreeMap::new();
    for offer in offers {
        if let SettingValue::Objects(objects) = offer.value {
            for object in objects {
                by_key.entry(object.get(key)).or_default().push((object, offer));
            }
        }
    }
    let (mut agreed, mut conflicting) = (Vec::new(), Vec::new());
    for items in by_key.into_values() {
        let first = items[0].0;
        if items.iter().all(|(object, _)| *object == first) {
            agreed.push(first.clone());
        } else {
            conflicting.extend(items.into_iter().map(|(object, offer)| Candidate {
                value: SettingValue::Objects(vec![object.clone()]),
                source: offer.source.clone(),
            }));
        }
    }
    let contributes = |offer: &&Offer<'_>| {
        let SettingValue::Objects(objects) = offer.value else { return true };
        objects.iter().any(|object| agreed.contains(object))
    };
    let sources: Vec<_> = offers.iter().filter(contributes).map(|offer| offer.source.clone()).collect();
    let value = list(Vec::new(), agreed);
    Merged { value: (!sources.is_empty()).then_some((value, sources)), conflicting }
}
