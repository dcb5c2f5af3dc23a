//! Pairs of assignments that want different values: what saving a policy says at once, before any device does.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use muster_catalog::{Catalogue, Kind, MergeMode, Setting};
use muster_types::{GroupId, PolicyId, SettingId, SettingValue};
use roaring::RoaringBitmap;

use super::assignment::{Intent, Priority};
use super::resolve::{PolicyRow, Tables};

/// Most collisions that are told.
pub const COLLISIONS_MAX: usize = 1_000;

/// Two assignments that want different values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The assignments, sorted: policy and group.
    pub assignments: [(PolicyId, GroupId); 2],
    /// The settings on which they differ, sorted.
    pub settings: Vec<SettingId>,
    /// On how many devices both hold, and at least one of the settings can be delivered. Waivers count as if they were
    /// over, for they will be.
    pub devices: u64,
    /// A priority decides between the two; where more assignments meet, the least of a policy's priorities counts.
    pub decided: bool,
}

/// An assignment that brings a policy to devices.
struct Brings<'a> {
    policy: PolicyId,
    group: GroupId,
    row: &'a PolicyRow,
    priority: Option<Priority>,
    devices: RoaringBitmap,
}

/// Lists the pairs of assignments of different policies that want different values, those on most devices first, at most
/// [`COLLISIONS_MAX`]; of some policies with whatever others, or of all. Pairs that no device has are in it too: one may
/// come.
#[must_use]
pub fn collisions(tables: &Tables, catalogue: &Catalogue, of: Option<&BTreeSet<PolicyId>>) -> Vec<Collision> {
    let is_asked = |policy: PolicyId| of.is_none_or(|of| of.contains(&policy));
    let by_policy = brings(tables);
    let mut found = Vec::new();
    for (ours, theirs) in pairs(&by_policy, is_asked) {
        let (Some(one), Some(other)) = (ours.first(), theirs.first()) else { continue };
        let settings = contested(one.row, other.row, catalogue);
        if settings.is_empty() {
            continue;
        }
        let able = able(tables, catalogue, &settings);
        for one in ours {
            for other in theirs {
                found.push(Collision {
                    assignments: [(one.policy, one.group), (other.policy, other.group)],
                    settings: settings.clone(),
                    devices: (&one.devices & &other.devices).intersection_len(&able),
                    decided: one.priority != other.priority,
                });
            }
        }
        if found.len() >= 2 * COLLISIONS_MAX {
            keep_most(&mut found);
        }
    }
    keep_most(&mut found);
    found
}

fn keep_most(found: &mut Vec<Collision>) {
    found.sort_by(|a, b| b.devices.cmp(&a.devices).then_with(|| a.assignments.cmp(&b.assignments)));
    found.truncate(COLLISIONS_MAX);
}

/// Inclusions of policies that are there, by policy: exclusion takes devices out of all of them.
fn brings(tables: &Tables) -> Vec<Vec<Brings<'_>>> {
    let mut by_policy: BTreeMap<PolicyId, Vec<Brings<'_>>> = BTreeMap::new();
    for (policy, group, assigned) in tables.all_assignments() {
        let Some(row) = tables.policy(policy).filter(|row| row.is_there()) else { continue };
        if assigned.tie.intent == Intent::Include {
            let devices = tables.members(group).cloned().unwrap_or_default();
            let brings = Brings { policy, group, row, priority: assigned.tie.priority, devices };
            by_policy.entry(policy).or_default().push(brings);
        }
    }
    for (policy, brings) in &mut by_policy {
        for (group, assigned) in tables.assignments(*policy) {
            if assigned.tie.intent == Intent::Exclude
                && let Some(members) = tables.members(group)
            {
                brings.iter_mut().for_each(|brings| brings.devices -= members);
            }
        }
    }
    by_policy.into_values().collect()
}

/// Pairs of policies that share a setting and of which one is asked for, each once, in order. Looked up by setting, so
/// that policies of other profiles cost nothing.
fn pairs<'a, 'b>(
    by_policy: &'b [Vec<Brings<'a>>],
    is_asked: impl Fn(PolicyId) -> bool,
) -> Vec<(&'b [Brings<'a>], &'b [Brings<'a>])> {
    let mut carriers: BTreeMap<&SettingId, Vec<usize>> = BTreeMap::new();
    for (place, brings) in by_policy.iter().enumerate() {
        for id in brings.first().into_iter().flat_map(|brings| brings.row.settings.keys()) {
            carriers.entry(id).or_default().push(place);
        }
    }
    let mut pairs = BTreeSet::new();
    for (place, brings) in by_policy.iter().enumerate() {
        let Some(first) = brings.first().filter(|first| is_asked(first.policy)) else { continue };
        let others = first.row.settings.keys().filter_map(|id| carriers.get(id)).flatten();
        pairs.extend(
            others.filter(|other| **other != place).map(|other| (place.min(*other), place.max(*other))),
        );
    }
    pairs.into_iter().map(|(one, other)| (&*by_policy[one], &*by_policy[other])).collect()
}

/// The settings on which two policies differ in a way that the catalogue's merge mode does not bring together, sorted.
fn contested(one: &PolicyRow, other: &PolicyRow, catalogue: &Catalogue) -> Vec<SettingId> {
    let differs = |(id, value): (&SettingId, &SettingValue)| {
        let theirs = other.settings.get(id).filter(|theirs| *theirs != value)?;
        differ(catalogue.setting(id)?, value, theirs).then(|| id.clone())
    };
    one.settings.iter().filter_map(differs).collect()
}

/// Whether two different values of a setting contradict each other.
fn differ(setting: &Setting, one: &SettingValue, other: &SettingValue) -> bool {
    match setting.merge {
        MergeMode::Conflict | MergeMode::PerRule | MergeMode::PartOfItem => true,
        MergeMode::Union | MergeMode::Concatenate => !(is_list(one) && is_list(other)),
        MergeMode::ByKey => match (key_of(setting), one, other) {
            (Some(key), SettingValue::Objects(ours), SettingValue::Objects(theirs)) => ours
                .iter()
                .any(|item| theirs.iter().any(|their| item.get(key) == their.get(key) && item != their)),
            // An empty list of objects is one of texts: it has no items to differ on.
            (Some(_), _, _) => !(is_list(one) && is_list(other)),
            (None, _, _) => true,
        },
    }
}

const fn is_list(value: &SettingValue) -> bool {
    matches!(value, SettingValue::Strings(_) | SettingValue::Objects(_))
}

/// The field by which the items of a setting's lists are told apart.
pub(super) fn key_of(setting: &Setting) -> Option<&str> {
    match &setting.kind {
        Kind::ObjectList { schema, .. } if setting.merge == MergeMode::ByKey => schema.unique_by.as_deref(),
        Kind::ObjectList { .. }
        | Kind::Bool { .. }
        | Kind::Enum { .. }
        | Kind::Flags { .. }
        | Kind::Integer { .. }
        | Kind::Text(_)
        | Kind::TextList { .. } => None,
    }
}

/// Devices to which at least one of the settings can be delivered.
fn able(tables: &Tables, catalogue: &Catalogue, settings: &[SettingId]) -> RoaringBitmap {
    let able =
        tables.classes().filter(|(facts, _)| settings.iter().any(|id| catalogue.support(id, facts).is_ok()));
    able.fold(RoaringBitmap::new(), |able, (_, class)| able | class)
}
