//! What changes would do to every device, before they are made: the production resolver over proposed tables, never a
//! second one, and never per device.
//!
//! A proposal is what the commands would write. It is folded into a copy of the tables as the view would fold it; the
//! devices that it concerns are taken apart by both, and where both differ stands the answer.

mod compare;
mod digest;
mod proposal;

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_types::{Digest, PolicyId, SettingId, SettingValue, WithheldReason};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::resolve::{Candidate, Effective, Reach, Tables};
use compare::Tally;

pub use proposal::Proposal;

/// What a proposal would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Names the proposal and everything that it would do.
    pub digest: Digest,
    /// Ordinals of the devices that would be set to something else.
    pub touched: RoaringBitmap,
    /// What would change of each setting: removals first, then changes, then additions; each sorted by id.
    pub settings: Vec<PlannedSetting>,
    /// Conflicts that would come, sorted by id.
    pub new_conflicts: Vec<PlannedConflict>,
    /// Conflicts that would go, sorted by id.
    pub solved_conflicts: Vec<PlannedConflict>,
    /// What policies would carry anew and devices would not get, for other reasons than a conflict.
    pub ineffective: Vec<Ineffective>,
    /// Ordinals of the devices that would be touched in a setting that tamper protection guards.
    pub tamper_guarded: RoaringBitmap,
    /// Different inputs that were resolved.
    pub resolved: usize,
}

/// What would change of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSetting {
    /// Which.
    pub id: SettingId,
    /// Its value before; none when it is not set.
    pub before: Option<SettingValue>,
    /// Its value after; none when it would not be set any more.
    pub after: Option<SettingValue>,
    /// On how many devices.
    pub devices: u64,
    /// The policies that set it before and after, sorted.
    pub policies: Vec<PolicyId>,
    /// Why it would not be set any more, when policies still carry it.
    pub withheld: Option<WithheldReason>,
}

/// A conflict that would come or go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedConflict {
    /// Of which setting.
    pub id: SettingId,
    /// Who wants what, sorted by policy; with all groups that bring it to some of the devices.
    pub candidates: Vec<Candidate>,
    /// On how many devices.
    pub devices: u64,
}

/// What policies would carry anew and devices would not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ineffective {
    /// Why.
    pub reason: WithheldReason,
    /// Which settings.
    pub settings: BTreeSet<SettingId>,
    /// On how many devices at least one of them.
    pub devices: u64,
}

/// Foresees what a proposal would do. Two plans have the same digest exactly when the proposal and its effects on devices
/// are the same.
#[must_use]
pub fn plan(before: &Tables, proposal: &Proposal, catalogue: &Catalogue) -> Plan {
    let after = proposal.applied(before);
    let concerned = proposal.concerned(before, &after);
    let mut resolver = Resolver { catalogue, resolved: FxHashMap::default(), nothing: Arc::default() };
    let was = resolver.results(before, &concerned, &BTreeSet::new());
    let would = resolver.results(&after, &concerned, &proposal.policies());
    let mut tally = Tally::new(catalogue);
    for (devices, was) in &was {
        let mut rest = devices.clone();
        for (others, would) in &would {
            if rest.is_empty() {
                break;
            }
            let both = &rest & others;
            rest -= &both;
            if !both.is_empty() && !Arc::ptr_eq(was, would) {
                tally.add(&both, was, would);
            }
        }
    }
    let digest = digest::of(proposal, tally.effects());
    tally.into_plan(digest, resolver.resolved.len())
}

/// The production resolver, once per distinct input.
struct Resolver<'a> {
    catalogue: &'a Catalogue,
    /// By reach, and whether the proposal changes a policy in it.
    resolved: FxHashMap<(Reach, bool), Arc<Effective>>,
    nothing: Arc<Effective>,
}

impl Resolver<'_> {
    /// What each of some devices is set to; each is in exactly one result. What is not made of `changed` policies is the
    /// same by the tables before and after.
    fn results(
        &mut self,
        tables: &Tables,
        ordinals: &RoaringBitmap,
        changed: &BTreeSet<PolicyId>,
    ) -> Vec<(RoaringBitmap, Arc<Effective>)> {
        let mut rest = ordinals.clone();
        let mut of_reach: FxHashMap<Reach, RoaringBitmap> = FxHashMap::default();
        for part in tables.parts(ordinals) {
            rest -= &part.devices;
            *of_reach.entry(tables.reach(&part)).or_default() |= part.devices;
        }
        let mut results = vec![(rest, self.nothing.clone())];
        for (reach, devices) in of_reach {
            if reach.policies.is_empty() {
                results[0].0 |= devices;
            } else {
                let is_changed = reach.policies.iter().any(|of| changed.contains(&of.policy));
                results.push((devices, self.resolve(tables, reach, is_changed)));
            }
        }
        results
    }

    fn resolve(&mut self, tables: &Tables, reach: Reach, is_changed: bool) -> Arc<Effective> {
        let key = (reach, is_changed);
        if let Some(resolved) = self.resolved.get(&key) {
            return resolved.clone();
        }
        let effective = Arc::new(tables.resolve(&key.0, self.catalogue));
        self.resolved.insert(key, effective.clone());
        effective
    }
}
