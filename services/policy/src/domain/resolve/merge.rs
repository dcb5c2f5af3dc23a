//! How values of several policies are brought together, by the catalogue's mode.
//!
//! Nothing here depends on the order of policies or on their ids: what is joined is sorted by content.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_catalog::{ITEMS_MAX, Kind, MergeMode, Setting};
use muster_types::SettingValue;

use super::{Candidate, Source};
use crate::domain::assignment::Priority;

type Object = BTreeMap<String, SettingValue>;

/// A value that a policy offers.
#[derive(Debug, Clone)]
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
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The value in force and whose values are in it.
    pub(super) value: Option<(SettingValue, Vec<Arc<Source>>)>,
    /// What lost to a priority.
    pub(super) losers: Vec<Candidate>,
    /// What contradicts, and is not in the value.
    pub(super) conflicting: Vec<Candidate>,
}

/// Merges at least one offer, sorted by policy.
///
/// Each policy keeps to the most items that a list may have; joined they may be more. No rule says which items would be
/// left out then, so it is a conflict like any other: of the policies with the best priority all items are in force, if
/// those are not too many, and otherwise the setting is withheld with all candidates. Where whole rules are put one after
/// the other, the catalogue bounds the rules of one policy, and together they may be [`ITEMS_MAX`].
pub(super) fn merge(setting: &Setting, offers: &[Offer<'_>]) -> Merged {
    let merged = joined(setting, offers);
    if fits(setting, &merged) {
        return merged;
    }
    let best = best(offers.iter().map(|offer| offer.source.priority));
    let (first, rest): (Vec<_>, Vec<_>) =
        offers.iter().cloned().partition(|offer| best.is_some() && offer.source.priority == best);
    if !first.is_empty() {
        let mut merged = joined(setting, &first);
        if fits(setting, &merged) {
            merged.losers.extend(candidates(&rest));
            return merged;
        }
    }
    Merged { conflicting: candidates(offers), ..Merged::default() }
}

/// `per_rule` settings are one rule each, so that a contradicted rule is a contradicted setting. What cannot be joined
/// because it is no list is compared.
fn joined(setting: &Setting, offers: &[Offer<'_>]) -> Merged {
    match setting.merge {
        MergeMode::Conflict | MergeMode::PerRule | MergeMode::PartOfItem => agree(offers),
        MergeMode::Union | MergeMode::Concatenate => all(offers).unwrap_or_else(|| agree(offers)),
        MergeMode::ByKey => key_of(setting).map_or_else(|| agree(offers), |key| by_key(key, offers)),
    }
}

fn fits(setting: &Setting, merged: &Merged) -> bool {
    let max = match &setting.kind {
        _ if setting.merge == MergeMode::Concatenate => ITEMS_MAX,
        Kind::TextList { max_items, .. } | Kind::ObjectList { max_items, .. } => *max_items,
        Kind::Bool { .. } | Kind::Enum { .. } | Kind::Flags { .. } | Kind::Integer { .. } | Kind::Text(_) => {
            return true;
        }
    };
    let items = match &merged.value {
        Some((SettingValue::Strings(items), _)) => items.len(),
        Some((SettingValue::Objects(items), _)) => items.len(),
        Some(_) | None => 0,
    };
    items <= max as usize
}

pub(super) fn candidates(offers: &[Offer<'_>]) -> Vec<Candidate> {
    offers.iter().map(Offer::candidate).collect()
}

/// The least number is the best; none is the worst.
fn best(priorities: impl Iterator<Item = Option<Priority>>) -> Option<Priority> {
    priorities.flatten().min()
}

/// The one value that all want, or else the one that all with the best priority want.
fn winner<'v, V: PartialEq>(offers: &[(&'v V, Option<Priority>)]) -> Option<&'v V> {
    common(offers.iter().map(|(value, _)| *value)).or_else(|| {
        let best = best(offers.iter().map(|(_, priority)| *priority))?;
        common(offers.iter().filter(|(_, priority)| *priority == Some(best)).map(|(value, _)| *value))
    })
}

fn common<'v, V: PartialEq>(mut values: impl Iterator<Item = &'v V>) -> Option<&'v V> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Equal values are in force, and of different ones those with the best priority, if they are equal; otherwise all are
/// withheld.
fn agree(offers: &[Offer<'_>]) -> Merged {
    let values: Vec<_> = offers.iter().map(|offer| (offer.value, offer.source.priority)).collect();
    let Some(value) = winner(&values) else {
        return Merged { conflicting: candidates(offers), ..Merged::default() };
    };
    let (same, other): (Vec<_>, Vec<_>) = offers.iter().partition(|offer| offer.value == value);
    Merged {
        value: Some((value.clone(), same.iter().map(|offer| offer.source.clone()).collect())),
        losers: other.into_iter().map(Offer::candidate).collect(),
        conflicting: Vec::new(),
    }
}

fn list(texts: Vec<String>, objects: Vec<Object>) -> SettingValue {
    if objects.is_empty() { SettingValue::Strings(texts) } else { SettingValue::Objects(objects) }
}

/// The items of all lists, contradictions included, sorted and each once; `None` when a value is no list. An empty list
/// of objects is written as one of texts.
fn all(offers: &[Offer<'_>]) -> Option<Merged> {
    let (mut texts, mut objects) = (BTreeSet::new(), BTreeSet::new());
    for offer in offers {
        match offer.value {
            SettingValue::Strings(items) => texts.extend(items),
            SettingValue::Objects(items) => objects.extend(items),
            SettingValue::Boolean(_) | SettingValue::Integer(_) | SettingValue::Text(_) => return None,
        }
    }
    if !texts.is_empty() && !objects.is_empty() {
        return None;
    }
    let value = list(texts.into_iter().cloned().collect(), objects.into_iter().cloned().collect());
    let sources = offers.iter().map(|offer| offer.source.clone()).collect();
    Some(Merged { value: Some((value, sources)), ..Merged::default() })
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

/// Items with one key must be equal, or a priority decides; a contradicted key is withheld alone.
fn by_key(key: &str, offers: &[Offer<'_>]) -> Merged {
    let mut by_key: BTreeMap<Option<&SettingValue>, Vec<(&Object, &Offer<'_>)>> = BTreeMap::new();
    for offer in offers {
        if let SettingValue::Objects(objects) = offer.value {
            for object in objects {
                by_key.entry(object.get(key)).or_default().push((object, offer));
            }
        }
    }
    let mut merged = Merged::default();
    let mut agreed = BTreeSet::new();
    for items in by_key.into_values() {
        let values: Vec<_> = items.iter().map(|(object, offer)| (*object, offer.source.priority)).collect();
        let winner = winner(&values);
        agreed.extend(winner);
        let rest = if winner.is_some() { &mut merged.losers } else { &mut merged.conflicting };
        let others = items.into_iter().filter(|(object, _)| Some(*object) != winner);
        rest.extend(others.map(|(object, offer)| Candidate {
            value: SettingValue::Objects(vec![object.clone()]),
            source: offer.source.clone(),
        }));
    }
    let contributes = |offer: &&Offer<'_>| {
        let SettingValue::Objects(objects) = offer.value else { return true };
        objects.iter().any(|object| agreed.contains(object))
    };
    let sources: Vec<_> = offers.iter().filter(contributes).map(|offer| offer.source.clone()).collect();
    if !sources.is_empty() {
        let value = list(Vec::new(), agreed.into_iter().cloned().collect());
        merged.value = Some((value, sources));
    }
    merged
}
