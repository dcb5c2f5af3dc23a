//! What differs between two results, counted over the devices that go from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_types::{Digest, PolicyId, SettingId, SettingValue, WithheldReason};
use roaring::RoaringBitmap;

use super::digest::Effect;
use super::{Ineffective, Plan, PlannedConflict, PlannedSetting};
use crate::domain::resolve::{Candidate, Effective, InForce, Source};

/// Adds up what differs.
pub(super) struct Tally<'a> {
    catalogue: &'a Catalogue,
    effects: BTreeMap<(Digest, Digest), RoaringBitmap>,
    settings: BTreeMap<SettingKey, (u64, BTreeSet<PolicyId>)>,
    new_conflicts: Conflicts,
    solved_conflicts: Conflicts,
    ineffective: BTreeMap<WithheldReason, (BTreeSet<SettingId>, RoaringBitmap)>,
    tamper_guarded: RoaringBitmap,
}

/// Sorts as a plan lists: removals, changes, additions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SettingKey {
    kind: Kind,
    id: SettingId,
    before: Option<SettingValue>,
    after: Option<SettingValue>,
    withheld: Option<WithheldReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Removal,
    Change,
    Addition,
}

/// A conflict, whoever brings it: of a setting, or of the items of one key.
type Contested = (SettingId, Option<SettingValue>);
/// Who wants what, with the least of the source that matters: policy, revision, priority.
type Wants = Vec<(PolicyId, u64, Option<u16>, SettingValue)>;

#[derive(Default)]
struct Conflicts(BTreeMap<(Contested, Wants), (u64, Vec<Candidate>)>);

impl<'a> Tally<'a> {
    pub(super) fn new(catalogue: &'a Catalogue) -> Self {
        Self {
            catalogue,
            effects: BTreeMap::new(),
            settings: BTreeMap::new(),
            new_conflicts: Conflicts::default(),
            solved_conflicts: Conflicts::default(),
            ineffective: BTreeMap::new(),
            tamper_guarded: RoaringBitmap::new(),
        }
    }

    /// Some devices go from one result to another.
    pub(super) fn add(&mut self, devices: &RoaringBitmap, was: &Effective, would: &Effective) {
        if was.etag != would.etag {
            *self.effects.entry((was.etag, would.etag)).or_default() |= devices;
            self.settings(devices, was, would);
            self.ineffective(devices, was, would);
        }
        let (had, would_have) = (contested(was, self.catalogue), contested(would, self.catalogue));
        for (contested, candidates) in &would_have {
            if !had.contains_key(contested) {
                self.new_conflicts.add(contested, candidates, devices.len());
            }
        }
        for (contested, candidates) in &had {
            if !would_have.contains_key(contested) {
                self.solved_conflicts.add(contested, candidates, devices.len());
            }
        }
    }

    fn settings(&mut self, devices: &RoaringBitmap, was: &Effective, would: &Effective) {
        let mut guarded = false;
        for (before, after) in side_by_side(&was.settings, &would.settings) {
            let value = |of: Option<&InForce>| of.map(|setting| setting.value.clone());
            if before.map(|setting| &setting.value) == after.map(|setting| &setting.value) {
                continue;
            }
            let Some(id) = before.or(after).map(|setting| setting.id.clone()) else { continue };
            let sides = || before.into_iter().chain(after);
            guarded |= sides().any(|setting| setting.tamper_guarded);
            let kind = match (before, after) {
                (Some(_), None) => Kind::Removal,
                (Some(_), Some(_)) => Kind::Change,
                (None, _) => Kind::Addition,
            };
            let withheld = if after.is_none() { reason(would, &id) } else { None };
            let key = SettingKey { kind, id, before: value(before), after: value(after), withheld };
            let (count, policies) = self.settings.entry(key).or_default();
            *count += devices.len();
            policies.extend(sides().flat_map(|setting| &setting.sources).map(|source| source.policy));
        }
        if guarded {
            self.tamper_guarded |= devices;
        }
    }

    fn ineffective(&mut self, devices: &RoaringBitmap, was: &Effective, would: &Effective) {
        for withheld in &would.withheld {
            let told = withheld.reason.is_told() && withheld.reason != WithheldReason::Conflict;
            let new = || was.settings.binary_search_by(|setting| setting.id.cmp(&withheld.id)).is_err();
            if told && new() && reason(was, &withheld.id) != Some(withheld.reason) {
                let (settings, on) = self.ineffective.entry(withheld.reason).or_default();
                settings.insert(withheld.id.clone());
                *on |= devices;
            }
        }
    }

    /// Which devices go from which etag to which, sorted.
    pub(super) fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        self.effects.iter().map(|(etags, devices)| (*etags, devices))
    }

    pub(super) fn into_plan(self, digest: Digest, resolved: usize) -> Plan {
        let planned = |(key, (devices, policies)): (SettingKey, (u64, BTreeSet<PolicyId>))| {
            let SettingKey { kind: _, id, before, after, withheld } = key;
            PlannedSetting { id, before, after, devices, policies: policies.into_iter().collect(), withheld }
        };
        let ineffective = |(reason, (settings, on)): (_, (_, RoaringBitmap))| Ineffective {
            reason,
            settings,
            devices: on.len(),
        };
        Plan {
            digest,
            touched: self.effects.values().fold(RoaringBitmap::new(), |all, devices| all | devices),
            settings: self.settings.into_iter().map(planned).collect(),
            new_conflicts: self.new_conflicts.planned(),
            solved_conflicts: self.solved_conflicts.planned(),
            ineffective: self.ineffective.into_iter().map(ineffective).collect(),
            tamper_guarded: self.tamper_guarded,
            resolved,
        }
    }
}

impl Conflicts {
    fn add(&mut self, contested: &Contested, candidates: &[Candidate], devices: u64) {
        let want = |Candidate { value, source }: &Candidate| {
            let Source { policy, revision, priority, groups: _ } = &**source;
            (*policy, *revision, priority.map(|priority| priority.number()), value.clone())
        };
        let wants: Wants = candidates.iter().map(want).collect();
        let (count, known) =
            self.0.entry((contested.clone(), wants)).or_insert_with(|| (0, candidates.to_vec()));
        *count += devices;
        for (known, other) in known.iter_mut().zip(candidates) {
            if known.source.groups != other.source.groups {
                let groups = &mut Arc::make_mut(&mut known.source).groups;
                groups.extend(&other.source.groups);
                groups.sort_unstable();
                groups.dedup();
            }
        }
    }

    fn planned(self) -> Vec<PlannedConflict> {
        let planned = |(((id, _), _), (devices, candidates))| PlannedConflict { id, candidates, devices };
        self.0.into_iter().map(planned).collect()
    }
}

/// Both lists are sorted by id; what stands in one of them alone has no partner.
fn side_by_side<'a>(
    before: &'a [InForce],
    after: &'a [InForce],
) -> Vec<(Option<&'a InForce>, Option<&'a InForce>)> {
    let mut both: BTreeMap<&SettingId, (Option<&InForce>, Option<&InForce>)> = BTreeMap::new();
    before.iter().for_each(|setting| both.entry(&setting.id).or_default().0 = Some(setting));
    after.iter().for_each(|setting| both.entry(&setting.id).or_default().1 = Some(setting));
    both.into_values().collect()
}

fn reason(effective: &Effective, id: &SettingId) -> Option<WithheldReason> {
    effective.withheld.iter().find(|withheld| withheld.id == *id).map(|withheld| withheld.reason)
}

/// What policies disagree on: the setting, or, where items have keys, each of them.
fn contested(effective: &Effective, catalogue: &Catalogue) -> BTreeMap<Contested, Vec<Candidate>> {
    let mut contested: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let conflicts = effective.withheld.iter().filter(|withheld| withheld.reason == WithheldReason::Conflict);
    for withheld in conflicts {
        let key = catalogue.setting(&withheld.id).and_then(crate::domain::collision::key_of);
        for candidate in &withheld.candidates {
            let item = match (key, &candidate.value) {
                (Some(key), SettingValue::Objects(objects)) => objects.first().and_then(|item| item.get(key)),
                _ => None,
            };
            contested.entry((withheld.id.clone(), item.cloned())).or_default().push(candidate.clone());
        }
    }
    contested
}
