//! The resolver: from the policies that reach a device to what it shall be set to, with reasons. A pure function.
//!
//! Groups are no matter here: who is included and who is excluded was decided by set algebra before, and only the
//! policies that reach a device come in, each with the groups that brought it.

mod merge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_catalog::{Catalogue, MergeMode, Platform, Setting};
use muster_types::{Digest, GroupId, PolicyId, SettingId, SettingValue, setting};

use merge::{Merged, Offer};

/// How policy gets to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Security settings management: by this product.
    Ssm,
    /// By a mobile device management service.
    Mdm,
}

/// What of a device matters for what it is set to. Few devices differ in it, and those that do not share one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facts {
    /// Its operating system.
    pub platform: Platform,
    /// How policy gets to it.
    pub channel: Channel,
}

/// A policy that reaches a device.
#[derive(Debug, Clone)]
pub struct Reaching<'a> {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
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
    /// Settings that policies carry and the device does not get, sorted by id.
    pub withheld: Vec<Withheld>,
    /// SHA-256 of the canonical encoding of the settings in force, and of nothing else: neither names, revisions nor
    /// groups change it.
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
    /// How values of several policies are brought together.
    pub mode: MergeMode,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
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
    pub reason: Reason,
    /// All values that were offered, sorted by policy.
    pub candidates: Vec<Candidate>,
}

/// Why a setting is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Policies want different values.
    Conflict,
    /// The setting is for another platform.
    Platform,
    /// The setting cannot be delivered on this channel.
    Channel,
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

/// Resolves what a device shall be set to. The order of `reaching` does not matter.
#[must_use]
pub fn resolve(facts: Facts, reaching: &[Reaching<'_>], catalogue: &Catalogue) -> Effective {
    let mut effective = Effective::default();
    for (id, offers) in offers(reaching) {
        let withhold = |reason| Withheld { id: id.clone(), reason, candidates: candidates(&offers) };
        let setting = match applicable(facts, id, catalogue) {
            Ok(setting) => setting,
            Err(reason) => {
                effective.withheld.push(withhold(reason));
                continue;
            }
        };
        let Merged { value, conflicting } = merge::merge(setting, &offers);
        if let Some((value, sources)) = value {
            effective.settings.push(InForce { id: id.clone(), value, sources, mode: setting.merge });
        }
        if !conflicting.is_empty() {
            effective.withheld.push(Withheld {
                id: id.clone(),
                reason: Reason::Conflict,
                candidates: conflicting,
            });
        }
    }
    effective.etag = setting::etag(effective.settings.iter().map(|setting| (&setting.id, &setting.value)));
    effective
}

/// What is offered for each setting, sorted by setting and by policy.
fn offers<'a>(reaching: &[Reaching<'a>]) -> BTreeMap<&'a SettingId, Vec<Offer<'a>>> {
    let mut sorted: Vec<_> = reaching.iter().collect();
    sorted.sort_by_key(|reaching| reaching.policy);
    let mut offers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Reaching { policy, revision, groups, settings } in sorted {
        let source = Arc::new(Source { policy: *policy, revision: *revision, groups: groups.clone() });
        for (id, value) in *settings {
            offers.entry(id).or_default().push(Offer { value, source: source.clone() });
        }
    }
    offers
}

/// A setting that this version's catalogue lacks cannot be delivered either.
fn applicable<'a>(facts: Facts, id: &SettingId, catalogue: &'a Catalogue) -> Result<&'a Setting, Reason> {
    let Facts { platform, channel } = facts;
    let profile = catalogue.profile(id.profile()).ok_or(Reason::Channel)?;
    if profile.platform != platform {
        return Err(Reason::Platform);
    }
    let setting = profile.setting(id.setting()).ok_or(Reason::Channel)?;
    let support = match channel {
        Channel::Ssm => setting.channels.ssm,
        Channel::Mdm => setting.channels.mdm,
    };
    if support.deliverable() { Ok(setting) } else { Err(Reason::Channel) }
}

fn candidates(offers: &[Offer<'_>]) -> Vec<Candidate> {
    offers.iter().map(Offer::candidate).collect()
}
