//! Why a device is set to what it is set to: the production resolver's result, taken apart for people.

mod summary;
#[cfg(test)]
mod tests;

use muster_catalog::{Catalogue, MergeMode, Platform};
use muster_types::{Digest, GroupId, PolicyId, SettingId, SettingValue, WaiverId, WithheldReason};
use roaring::RoaringBitmap;

use super::assignment::{Intent, Priority};
use super::resolve::{Effective, Facts, InForce, Part, Reach, Tables, Whom, Withheld};

/// The device that is explained.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its place in bitmaps, once it is trusted.
    pub ordinal: Option<u32>,
    /// What of it matters; `None` while it gets nothing.
    pub facts: Option<Facts>,
    /// Why it gets nothing, as a sentence without its end.
    pub idle: &'static str,
}

/// Why a device is set to what it is set to.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Etag of what is resolved for it.
    pub etag: Digest,
    /// Each setting, in force or withheld, sorted by id. Settings of policies for other platforms are left out.
    pub settings: Vec<Explained>,
    /// Policies that are assigned to a group of the device and do not reach it, sorted.
    pub not_reaching: Vec<(PolicyId, String)>,
}

/// Why one setting is what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Which.
    pub id: SettingId,
    /// Its value; none when it is withheld or not set.
    pub value: Option<SettingValue>,
    /// How values of several policies are brought together.
    pub mode: MergeMode,
    /// Policies whose values are in force, sorted.
    pub winners: Vec<Carrier>,
    /// Policies whose values are not, or not in full; sorted.
    pub losers: Vec<Carrier>,
    /// Why it is withheld, or part of it.
    pub withheld: Option<WithheldReason>,
    /// The whole, in sentences.
    pub summary: String,
    /// Waivers that take a policy's value out.
    pub waivers: Vec<WaiverId>,
    /// Tamper protection is on and guards it.
    pub tamper_guarded: bool,
}

/// A policy that carries a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// What it wants.
    pub value: SettingValue,
    /// The groups whose assignments bring it, with their priorities.
    pub groups: Vec<(GroupId, Option<Priority>)>,
}

/// Explains what a device is set to; `only` one setting, which stands there also when nobody carries it.
#[must_use]
pub fn explain(
    tables: &Tables,
    catalogue: &Catalogue,
    subject: &Subject,
    only: Option<&SettingId>,
) -> Explanation {
    let part = subject.ordinal.and_then(|ordinal| part(tables, ordinal));
    let reach = part.as_ref().map(|part| tables.reach(part));
    let effective = reach.as_ref().map(|reach| tables.resolve(reach, catalogue)).unwrap_or_default();
    let view = View { tables, catalogue, subject, reach: reach.as_ref(), effective: &effective };
    let mut ids: Vec<_> = match only {
        Some(id) => vec![id],
        None => view.carried().collect(),
    };
    ids.sort_unstable();
    ids.dedup();
    Explanation {
        etag: effective.etag,
        settings: ids.into_iter().map(|id| view.explained(id)).collect(),
        not_reaching: view.not_reaching(),
    }
}

/// The part that a device is in, alone.
fn part(tables: &Tables, ordinal: u32) -> Option<Part> {
    tables.parts(&RoaringBitmap::from_iter([ordinal])).into_iter().next()
}

struct View<'a> {
    tables: &'a Tables,
    catalogue: &'a Catalogue,
    subject: &'a Subject,
    reach: Option<&'a Reach>,
    effective: &'a Effective,
}

impl<'a> View<'a> {
    /// Settings in force or withheld, as far as they are the device's business.
    fn carried(&self) -> impl Iterator<Item = &'a SettingId> {
        let withheld = self.effective.withheld.iter().filter(|withheld| withheld.reason.is_told());
        self.effective.settings.iter().map(|setting| &setting.id).chain(withheld.map(|withheld| &withheld.id))
    }

    fn explained(&self, id: &SettingId) -> Explained {
        let in_force = self.effective.settings.iter().find(|setting| setting.id == *id);
        let withheld = self.effective.withheld.iter().find(|withheld| withheld.id == *id);
        let carriers = self.carriers(id);
        let wins = |carrier: &Carrier| {
            in_force
                .is_some_and(|setting| setting.sources.iter().any(|source| source.policy == carrier.policy))
        };
        // Of a list whose items have keys a policy may win some and lose others.
        let loses = |carrier: &Carrier| {
            let lost = in_force.into_iter().flat_map(|setting| &setting.losers);
            let refused = withheld.into_iter().flat_map(|withheld| &withheld.candidates);
            !wins(carrier) || lost.chain(refused).any(|candidate| candidate.source.policy == carrier.policy)
        };
        let mut explained = Explained {
            id: id.clone(),
            value: in_force.map(|setting| setting.value.clone()),
            mode: self.catalogue.setting(id).map_or(MergeMode::Conflict, |setting| setting.merge),
            winners: carriers.iter().filter(|carrier| wins(carrier)).cloned().collect(),
            losers: carriers.iter().filter(|carrier| loses(carrier)).cloned().collect(),
            withheld: withheld.map(|withheld| withheld.reason),
            summary: String::new(),
            waivers: self.waivers(id, &carriers),
            tamper_guarded: in_force.is_some_and(|setting| setting.tamper_guarded),
        };
        explained.summary = self.summary(&explained, in_force, withheld);
        explained
    }

    /// All policies that reach the device and carry a setting, sorted.
    fn carriers(&self, id: &SettingId) -> Vec<Carrier> {
        let reaching = self.reach.into_iter().flat_map(|reach| &reach.policies);
        let carrier = |reaching: &super::resolve::ReachingPolicy| {
            let policy = reaching.policy;
            let value = self.tables.policy(policy)?.settings.get(id)?.clone();
            let priority = |group| self.tables.assigned(policy, group).and_then(|to| to.tie.priority);
            let groups = reaching.groups.iter().map(|group| (*group, priority(*group))).collect();
            Some(Carrier { policy, revision: reaching.revision, value, groups })
        };
        reaching.filter_map(carrier).collect()
    }

    /// Active waivers that are for the device and take one of these offers out.
    fn waivers(&self, id: &SettingId, carriers: &[Carrier]) -> Vec<WaiverId> {
        let Some(ordinal) = self.subject.ordinal else { return Vec::new() };
        let is_for = |whom: Whom| match whom {
            Whom::Group(group) => self.is_member(group, ordinal),
            Whom::Device(device) => device == ordinal,
        };
        let waived = self.tables.all_waived().filter(|(_, waived)| {
            is_for(waived.whom) && carriers.iter().any(|carrier| waived.exempt.covers(carrier.policy, id))
        });
        waived.map(|(id, _)| id).collect()
    }

    fn is_member(&self, group: GroupId, ordinal: u32) -> bool {
        self.tables.members(group).is_some_and(|members| members.contains(ordinal))
    }

    /// Policies that are there and are assigned to a group of the device, and do not reach it.
    fn not_reaching(&self) -> Vec<(PolicyId, String)> {
        let Some(ordinal) = self.subject.ordinal else { return Vec::new() };
        let mut ties = std::collections::BTreeMap::<PolicyId, Vec<(GroupId, Intent)>>::new();
        for (policy, group, assigned) in self.tables.all_assignments() {
            if self.is_member(group, ordinal) && self.tables.policy(policy).is_some_and(|row| row.is_there())
            {
                ties.entry(policy).or_default().push((group, assigned.tie.intent));
            }
        }
        let why =
            |(policy, ties): (PolicyId, Vec<(GroupId, Intent)>)| Some((policy, self.why(policy, &ties)?));
        ties.into_iter().filter_map(why).collect()
    }

    fn why(&self, policy: PolicyId, ties: &[(GroupId, Intent)]) -> Option<String> {
        let excluding = ties.iter().filter(|(_, intent)| *intent == Intent::Exclude);
        let excluding: Vec<_> = excluding.map(|(group, _)| format!("group {group}")).collect();
        let platform = self.platform_of(policy);
        match (&self.subject.facts, platform) {
            _ if !excluding.is_empty() => Some(format!("excluded by {}", excluding.join(" and "))),
            (None, _) => Some(self.subject.idle.to_owned()),
            (Some(facts), Some(platform)) if facts.platform != platform => {
                Some(format!("it is for {}; the device runs {}", platform.name(), facts.platform.name()))
            }
            (Some(_), _) => None,
        }
    }

    fn platform_of(&self, policy: PolicyId) -> Option<Platform> {
        let row = self.tables.policy(policy)?;
        self.catalogue.profile(&row.profile).map(|profile| profile.platform)
    }

    fn summary(
        &self,
        explained: &Explained,
        in_force: Option<&InForce>,
        withheld: Option<&Withheld>,
    ) -> String {
        let Self { tables, catalogue, subject, .. } = *self;
        let name = |policy| tables.policy(policy).map_or_else(String::new, |row| row.display_name.clone());
        let said = summary::Said { explained, in_force, withheld, catalogue, subject, name: &name };
        said.to_string()
    }
}
