//! The resolver: from the policies that reach a device to what it shall be set to, with reasons. A pure function.
//!
//! Groups are no matter here: who is included, excluded and exempt was decided by set algebra before ([`Tables`]), and
//! only the policies that reach a device come in, each with the groups that brought it. There is no clock either: a
//! waiver counts from its grant until the event that ends it.

mod merge;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_catalog::{Catalogue, MergeMode};
use muster_types::{Digest, GroupId, PolicyId, SettingId, SettingValue, WithheldReason, setting};

use crate::domain::assignment::Priority;
use crate::domain::waiver::Exempt;
use merge::{Merged, Offer};

pub use muster_catalog::{Applicability as Facts, Channel};
pub use tables::{Part, PolicyRow, Reach, ReachingPolicy, Tables, Waived, Whom};

/// A policy that reaches a device.
#[derive(Debug, Clone)]
pub struct Reaching<'a> {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// The least priority of the assignments that bring it.
    pub priority: Option<Priority>,
    /// The groups that bring it, sorted.
    pub groups: Vec<GroupId>,
    /// What it sets.
    pub settings: &'a BTreeMap<SettingId, SettingValue>,
}

/// What is resolved for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Settings in force, sorted by id.
    pub settings: Vec<InForce>,
    /// Settings that policies carry and the device does not get, or not in full, sorted by id, each once.
    pub withheld: Vec<Withheld>,
    /// SHA-256 of the canonical encoding of the settings in force and of what is withheld as far as the device is told
    /// ([`setting::etag_of_result`]), and of nothing else: neither names, revisions nor groups change it.
    pub etag: Digest,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Which.
    pub id: SettingId,
    /// Its merged value.
    pub value: SettingValue,
    /// The policies whose values are in it, sorted by policy.
    pub sources: Vec<Arc<Source>>,
    /// Values that lost to a priority; of a setting whose items have keys, only those items.
    pub losers: Vec<Candidate>,
    /// How values of several policies are brought together.
    pub mode: MergeMode,
    /// Tamper protection is on for the device and guards the setting: it holds only if the device reads it back.
    pub tamper_guarded: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// The priority it came with: the least of those of the assignments that brought it.
    pub priority: Option<Priority>,
    /// The groups that brought it, sorted.
    pub groups: Vec<GroupId>,
}

/// A setting that is assigned but not in force. Of a setting whose items have keys this may be some of the items: the
/// candidates then hold only those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Which.
    pub id: SettingId,
    /// Why.
    pub reason: WithheldReason,
    /// All values that were offered, sorted by policy.
    pub candidates: Vec<Candidate>,
}

/// A value that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The value.
    pub value: SettingValue,
    /// Who offered it.
    pub source: Arc<Source>,
}

impl Default for Effective {
    fn default() -> Self {
        Self { settings: Vec::new(), withheld: Vec::new(), etag: setting::etag([]) }
    }
}

/// Resolves what a device shall be set to. The order of `reaching` and of `exempt` does not matter.
///
/// First what cannot be delivered to such a device is withheld ([`Catalogue::support`]), then waivers take offers out,
/// then what is left is merged.
#[must_use]
pub fn resolve(
    facts: &Facts,
    reaching: &[Reaching<'_>],
    exempt: &[Exempt],
    catalogue: &Catalogue,
) -> Effective {
    let mut effective = Effective::default();
    for (id, offers) in offers(reaching) {
        let withheld = |reason, candidates| Withheld { id: id.clone(), reason, candidates };
        let setting = match catalogue.support(id, facts) {
            Ok(setting) => setting,
            Err(reason) => {
                effective.withheld.push(withheld(reason, merge::candidates(&offers)));
                continue;
            }
        };
        let is_waived = |offer: &Offer<'_>| exempt.iter().any(|e| e.covers(offer.source.policy, id));
        let (waived, offers): (Vec<_>, Vec<_>) = offers.into_iter().partition(is_waived);
        if offers.is_empty() {
            effective.withheld.push(withheld(WithheldReason::Waived, merge::candidates(&waived)));
            continue;
        }
        let Merged { value, losers, conflicting } = merge::merge(setting, &offers);
        if let Some((value, sources)) = value {
            let tamper_guarded = facts.tamper_guards(setting);
            let (id, mode) = (id.clone(), setting.merge);
            effective.settings.push(InForce { id, value, sources, losers, mode, tamper_guarded });
        }
        if !conflicting.is_empty() {
            effective.withheld.push(withheld(WithheldReason::Conflict, conflicting));
        }
    }
    effective.etag = setting::etag_of_result(
        effective.settings.iter().map(|setting| (&setting.id, &setting.value)),
        effective.withheld.iter().map(|withheld| (&withheld.id, withheld.reason)),
    );
    effective
}

/// What is offered for each setting, sorted by setting and by policy.
fn offers<'a>(reaching: &[Reaching<'a>]) -> BTreeMap<&'a SettingId, Vec<Offer<'a>>> {
    let mut sorted: Vec<_> = reaching.iter().collect();
    sorted.sort_by_key(|reaching| reaching.policy);
    let mut offers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Reaching { policy, revision, priority, groups, settings } in sorted {
        let source = Arc::new(Source {
            policy: *policy,
            revision: *revision,
            priority: *priority,
            groups: groups.clone(),
        });
        for (id, value) in *settings {
            offers.entry(id).or_default().push(Offer { value, source: source.clone() });
        }
    }
    offers
}
