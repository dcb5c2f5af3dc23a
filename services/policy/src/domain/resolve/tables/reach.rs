//! Which devices do not differ, and what reaches them.

use std::collections::{BTreeMap, BTreeSet};

use muster_catalog::Catalogue;
use muster_types::{GroupId, PolicyId, SettingId};
use roaring::RoaringBitmap;

use super::{PolicyRow, Tables, Waived, Whom};
use crate::domain::assignment::{Intent, Priority, Tie};
use crate::domain::resolve::{Effective, Facts, Reaching, resolve};
use crate::domain::waiver::Exempt;

/// Devices that do not differ in anything that matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Their ordinals; at least one.
    pub devices: RoaringBitmap,
    /// What of each of them matters.
    pub facts: Facts,
    /// The assigned groups they are in, sorted.
    pub groups: Vec<GroupId>,
    /// What they are exempt from, sorted.
    pub exempt: Vec<Exempt>,
}

/// What a result depends on: equal reaches have equal results, as long as policies' revisions are what they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reach {
    /// What of the devices matters.
    pub facts: Facts,
    /// The policies that reach them, sorted by policy.
    pub policies: Vec<ReachingPolicy>,
    /// Exempts that take something out, sorted.
    pub exempt: Vec<Exempt>,
}

/// A policy that reaches devices.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReachingPolicy {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
    /// The least priority of the assignments that bring it.
    pub priority: Option<Priority>,
    /// The groups that bring it, sorted.
    pub groups: Vec<GroupId>,
}

/// How a policy is brought to devices.
#[derive(Debug, Default)]
struct Brought {
    excluded: bool,
    priority: Option<Priority>,
    groups: Vec<GroupId>,
}

impl Brought {
    fn add(&mut self, group: GroupId, tie: &Tie) {
        let Tie { intent, priority, filter: _ } = tie;
        match intent {
            Intent::Exclude => self.excluded = true,
            Intent::Include => {
                self.priority = self.priority.into_iter().chain(*priority).min();
                self.groups.push(group);
            }
        }
    }
}

impl Tables {
    /// Devices apart by all that matters. A device that gets nothing whatever is assigned is in no part.
    #[must_use]
    pub fn parts(&self, ordinals: &RoaringBitmap) -> Vec<Part> {
        let groups: Vec<_> = self.live_groups().collect();
        let exempt = self.exempt();
        let mut all = Vec::new();
        for (facts, class) in &self.classes {
            let devices = &**class & ordinals;
            if devices.is_empty() {
                continue;
            }
            let mut parts = vec![Part { devices, facts: *facts, groups: Vec::new(), exempt: Vec::new() }];
            for (group, members) in &groups {
                split(&mut parts, members, |part| part.groups.push(*group));
            }
            for (from, devices) in &exempt {
                split(&mut parts, devices, |part| part.exempt.push((*from).clone()));
            }
            all.append(&mut parts);
        }
        all
    }

    /// Groups to which a policy that is not deleted is assigned, with their members.
    fn live_groups(&self) -> impl Iterator<Item = (GroupId, &RoaringBitmap)> {
        let live = |policies: &BTreeSet<PolicyId>| policies.iter().any(|policy| self.live(*policy).is_some());
        let groups = self.by_group.iter().filter(move |(_, policies)| live(policies));
        groups.filter_map(|(group, _)| Some((*group, self.members(*group)?)))
    }

    /// Exempts with all devices that have them: many waivers may be of one kind.
    fn exempt(&self) -> BTreeMap<&Exempt, RoaringBitmap> {
        let mut exempt: BTreeMap<_, RoaringBitmap> = BTreeMap::new();
        for Waived { exempt: from, whom } in self.waived.values() {
            let devices = exempt.entry(from).or_default();
            match whom {
                Whom::Group(group) => {
                    if let Some(members) = self.members(*group) {
                        *devices |= members;
                    }
                }
                Whom::Device(ordinal) => {
                    devices.insert(*ordinal);
                }
            }
        }
        exempt
    }

    fn live(&self, policy: PolicyId) -> Option<&PolicyRow> {
        self.policies.get(&policy).map(|row| &**row).filter(|row| row.is_there())
    }

    /// The policies that reach the devices of a part; exclusion wins.
    #[must_use]
    pub fn reach(&self, part: &Part) -> Reach {
        let mut brought: BTreeMap<PolicyId, Brought> = BTreeMap::new();
        for group in &part.groups {
            for policy in self.by_group.get(group).into_iter().flatten() {
                if let Some(assigned) = self.assigned(*policy, *group) {
                    brought.entry(*policy).or_default().add(*group, &assigned.tie);
                }
            }
        }
        let reaching = brought.into_iter().filter_map(|(policy, brought)| {
            let Brought { excluded, priority, mut groups } = brought;
            let revision = self.live(policy).filter(|_| !excluded && !groups.is_empty())?.revision;
            groups.sort_unstable();
            Some(ReachingPolicy { policy, revision, priority, groups })
        });
        let policies: Vec<_> = reaching.collect();
        let exempt = part.exempt.iter().filter(|exempt| self.takes_out(exempt, &policies)).cloned();
        Reach { facts: part.facts, exempt: exempt.collect(), policies }
    }

    /// Whether an exemption takes anything out of what these policies offer.
    fn takes_out(&self, exempt: &Exempt, policies: &[ReachingPolicy]) -> bool {
        let carries = |policy: PolicyId, setting: &SettingId| {
            self.live(policy).is_some_and(|row| row.settings.contains_key(setting))
        };
        policies.iter().any(|ReachingPolicy { policy, .. }| {
            exempt.policy().is_none_or(|named| named == *policy)
                && exempt.setting().is_none_or(|setting| carries(*policy, setting))
        })
    }

    /// What devices with this reach shall be set to.
    #[must_use]
    pub fn resolve(&self, reach: &Reach, catalogue: &Catalogue) -> Effective {
        let Reach { facts, policies, exempt } = reach;
        let reaching = policies.iter().filter_map(|ReachingPolicy { policy, revision, priority, groups }| {
            Some(Reaching {
                policy: *policy,
                revision: *revision,
                priority: *priority,
                groups: groups.clone(),
                settings: &self.live(*policy)?.settings,
            })
        });
        resolve(facts, &reaching.collect::<Vec<_>>(), exempt, catalogue)
    }
}

/// Takes those devices of each part that are in a set apart, marked so.
fn split(parts: &mut Vec<Part>, set: &RoaringBitmap, mark: impl Fn(&mut Part)) {
    for place in 0..parts.len() {
        let part = &mut parts[place];
        let inside = part.devices.intersection_len(set);
        if inside == part.devices.len() {
            mark(part);
        } else if inside > 0 {
            let Part { devices, facts, groups, exempt } = part;
            let (groups, exempt) = (groups.clone(), exempt.clone());
            let mut apart = Part { devices: &*devices & set, facts: *facts, groups, exempt };
            part.devices -= &apart.devices;
            mark(&mut apart);
            parts.push(apart);
        }
    }
}
