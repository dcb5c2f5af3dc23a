//! What the commands would write, folded into tables.

use std::collections::{BTreeMap, BTreeSet};

use muster_types::{DeviceId, GroupId, PolicyId};
use roaring::RoaringBitmap;

use crate::domain::assignment::{self, Assigned};
use crate::domain::change::Fact;
use crate::domain::resolve::{PolicyRow, Tables, Waived, Whom};
use crate::domain::waiver::{self, Target};

/// Changes that were checked, as the facts they would make, and groups as they would be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Proposal {
    /// The facts, those of one policy, assignment or waiver in order.
    pub facts: Vec<Fact>,
    /// Ordinals of the members of groups, as they would be.
    pub memberships: BTreeMap<GroupId, RoaringBitmap>,
    /// Ordinals of the devices that waivers name; one without gets nothing yet.
    pub ordinals: BTreeMap<DeviceId, u32>,
}

impl Proposal {
    /// The tables as they would be.
    #[must_use]
    pub fn applied(&self, tables: &Tables) -> Tables {
        let mut after = tables.clone();
        for (group, members) in &self.memberships {
            after.members_mut(*group).clone_from(members);
        }
        for fact in &self.facts {
            self.apply(fact, &mut after);
        }
        after
    }

    /// Ordinals of all devices that may be set to something else; others are not.
    #[must_use]
    pub fn concerned(&self, before: &Tables, after: &Tables) -> RoaringBitmap {
        let mut concerned = RoaringBitmap::new();
        for (group, members) in &self.memberships {
            if before.is_targeted(*group) || after.is_targeted(*group) {
                match before.members(*group) {
                    Some(had) => concerned |= had ^ members,
                    None => concerned |= members,
                }
            }
        }
        for tables in [before, after] {
            for fact in &self.facts {
                concerned |= self.reached(fact, tables);
            }
        }
        concerned
    }

    /// The policies that it changes.
    #[must_use]
    pub fn policies(&self) -> BTreeSet<PolicyId> {
        let changed = self.facts.iter().filter_map(|fact| match fact {
            Fact::Policy(id, _) => Some(*id),
            Fact::Assignment(..) | Fact::Waiver(..) => None,
        });
        changed.collect()
    }

    /// The groups that decide whom it concerns.
    #[must_use]
    pub fn groups(&self, before: &Tables) -> BTreeSet<GroupId> {
        let mut groups: BTreeSet<_> = self.memberships.keys().copied().collect();
        for fact in &self.facts {
            match fact {
                Fact::Policy(id, _) => groups.extend(before.assignments(*id).map(|(group, _)| group)),
                Fact::Assignment(_, group, _) => {
                    groups.insert(*group);
                }
                Fact::Waiver(_, waiver::Event::Granted { grant, .. }) => {
                    if let Target::Group(group) = grant.target {
                        groups.insert(group);
                    }
                }
                Fact::Waiver(id, waiver::Event::Revoked { .. } | waiver::Event::Expired { .. }) => {
                    if let Some(Whom::Group(group)) = before.waived(*id).map(|waived| waived.whom) {
                        groups.insert(group);
                    }
                }
            }
        }
        groups
    }

    /// The devices that waivers name.
    pub fn named_devices(facts: &[Fact]) -> impl Iterator<Item = DeviceId> + '_ {
        facts.iter().filter_map(|fact| match fact {
            Fact::Waiver(_, waiver::Event::Granted { grant, .. }) => match grant.target {
                Target::Device(device) => Some(device),
                Target::Group(_) => None,
            },
            Fact::Waiver(..) | Fact::Policy(..) | Fact::Assignment(..) => None,
        })
    }

    /// Assignments that it makes with a filter.
    pub fn filtered(&self) -> impl Iterator<Item = (PolicyId, GroupId)> + '_ {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::Assignment(policy, group, assignment::Event::Assigned { tie, .. })
                if !tie.filter.is_empty() =>
            {
                Some((*policy, *group))
            }
            Fact::Policy(..) | Fact::Assignment(..) | Fact::Waiver(..) => None,
        })
    }

    fn whom(&self, target: Target) -> Option<Whom> {
        match target {
            Target::Group(group) => Some(Whom::Group(group)),
            Target::Device(device) => self.ordinals.get(&device).copied().map(Whom::Device),
        }
    }

    /// Folds a fact, as the view does.
    fn apply(&self, fact: &Fact, tables: &mut Tables) {
        match fact {
            Fact::Policy(id, event) => {
                if let Some(row) = PolicyRow::after(tables.policy(*id).map(|row| &**row), event.clone()) {
                    tables.put_policy(*id, row);
                }
            }
            Fact::Assignment(policy, group, assignment::Event::Assigned { tie, at, .. }) => {
                tables.assign(*policy, *group, Assigned { tie: tie.clone(), at: *at });
            }
            Fact::Assignment(policy, group, assignment::Event::Unassigned { .. }) => {
                tables.unassign(*policy, *group);
            }
            Fact::Waiver(id, waiver::Event::Granted { grant, .. }) => {
                if let Some(whom) = self.whom(grant.target) {
                    tables.waive(*id, Waived { exempt: grant.exempt.clone(), whom });
                }
            }
            Fact::Waiver(id, waiver::Event::Revoked { .. } | waiver::Event::Expired { .. }) => {
                tables.end_waiver(*id);
            }
        }
    }

    /// Devices that a fact may change, by one side's tables.
    fn reached(&self, fact: &Fact, tables: &Tables) -> RoaringBitmap {
        match fact {
            Fact::Policy(id, _) => tables.reached(*id),
            Fact::Assignment(_, group, _) => tables.targeted(Whom::Group(*group)),
            Fact::Waiver(id, event) => {
                let whom = match event {
                    waiver::Event::Granted { grant, .. } => self.whom(grant.target),
                    waiver::Event::Revoked { .. } | waiver::Event::Expired { .. } => {
                        tables.waived(*id).map(|waived| waived.whom)
                    }
                };
                whom.map(|whom| tables.targeted(whom)).unwrap_or_default()
            }
        }
    }
}
