//! The small tables that say what reaches whom, and the way from them to results: partition, reach, resolve.
//!
//! The view holds one and changes it as events come. A plan takes a copy, which is cheap, since the bitmaps and policies
//! are shared until one side changes them, changes it as proposed, and compares what both say of the devices touched:
//!
//! ```text
//! let parts = tables.parts(&ordinals);            // devices apart by all that matters, each device in at most one
//! let reach = tables.reach(&parts[0]);            // which policies get to them, from where: the key that results share
//! let effective = tables.resolve(&reach, catalogue);
//! ```

mod reach;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_catalog::RulesAsOf;
use muster_types::{GroupId, PolicyId, SettingId, SettingValue, Timestamp, WaiverId};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::Facts;
use crate::domain::assignment::Assigned;
use crate::domain::policy::{self, Content, OnUnassign};
use crate::domain::waiver::Exempt;

pub use reach::{Part, Reach, ReachingPolicy};

/// A policy in its latest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// Name for people.
    pub display_name: String,
    /// Catalogue profile.
    pub profile: String,
    /// What it sets.
    pub settings: BTreeMap<SettingId, SettingValue>,
    /// What becomes of its settings on a device that it no longer reaches.
    pub on_unassign: OnUnassign,
    /// Its revision.
    pub revision: u64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last revised.
    pub update_time: Timestamp,
    /// When it was deleted; it reaches nobody until it is brought back.
    pub delete_time: Option<Timestamp>,
    /// Who made the latest revision, as the log writes it.
    pub actor: String,
    /// Why, as they said.
    pub reason: String,
}

impl PolicyRow {
    /// What an event makes of a policy; `None` when there is none to change.
    #[must_use]
    pub fn after(before: Option<&Self>, event: policy::Event) -> Option<Self> {
        let known = || before.cloned();
        Some(match event {
            policy::Event::Created { profile, content, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                Self {
                    display_name,
                    profile,
                    settings,
                    on_unassign,
                    revision: 1,
                    create_time: origin.at,
                    update_time: origin.at,
                    delete_time: None,
                    actor: origin.actor,
                    reason: origin.reason,
                }
            }
            policy::Event::Revised { revision, content, rolled_back_to: _, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                Self {
                    display_name,
                    settings,
                    on_unassign,
                    revision,
                    update_time: origin.at,
                    actor: origin.actor,
                    reason: origin.reason,
                    ..known()?
                }
            }
            policy::Event::Deleted { origin } => Self { delete_time: Some(origin.at), ..known()? },
            policy::Event::Undeleted { origin: _ } => Self { delete_time: None, ..known()? },
        })
    }

    /// Whether it was not deleted.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.delete_time.is_none()
    }
}

/// Whom a waiver is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Members of a group.
    Group(GroupId),
    /// The device with an ordinal.
    Device(u32),
}

/// An active waiver as far as the resolver cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waived {
    /// From what.
    pub exempt: Exempt,
    /// Who is exempt.
    pub whom: Whom,
}

/// The tables. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Tables {
    rules: RulesAsOf,
    /// Ordinals by the facts that matter; devices that get nothing are in none.
    classes: BTreeMap<Facts, Arc<RoaringBitmap>>,
    members: FxHashMap<GroupId, Arc<RoaringBitmap>>,
    policies: FxHashMap<PolicyId, Arc<PolicyRow>>,
    assignments: BTreeMap<(PolicyId, GroupId), Assigned>,
    by_group: BTreeMap<GroupId, BTreeSet<PolicyId>>,
    waived: BTreeMap<WaiverId, Waived>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            rules: RulesAsOf::Current,
            classes: BTreeMap::new(),
            members: FxHashMap::default(),
            policies: FxHashMap::default(),
            assignments: BTreeMap::new(),
            by_group: BTreeMap::new(),
            waived: BTreeMap::new(),
        }
    }
}

impl Tables {
    /// Which edition of the rules holds for all devices.
    #[must_use]
    pub const fn rules(&self) -> RulesAsOf {
        self.rules
    }

    /// Sets the edition of the rules; whether that changed it.
    pub fn set_rules(&mut self, rules: RulesAsOf) -> bool {
        if self.rules == rules {
            return false;
        }
        self.rules = rules;
        for (mut facts, class) in std::mem::take(&mut self.classes) {
            facts.rules_as_of = rules;
            *Arc::make_mut(self.classes.entry(facts).or_default()) |= &*class;
        }
        true
    }

    /// Moves a device from one class to another; none is that of devices that get nothing.
    pub fn reclass(&mut self, ordinal: u32, before: Option<Facts>, after: Option<Facts>) {
        if let Some(facts) = before
            && let Some(class) = self.classes.get_mut(&facts)
        {
            Arc::make_mut(class).remove(ordinal);
            if class.is_empty() {
                self.classes.remove(&facts);
            }
        }
        if let Some(facts) = after {
            Arc::make_mut(self.classes.entry(facts).or_default()).insert(ordinal);
        }
    }

    /// Devices by the facts that matter.
    pub fn classes(&self) -> impl Iterator<Item = (&Facts, &RoaringBitmap)> {
        self.classes.iter().map(|(facts, class)| (facts, &**class))
    }

    /// Ordinals of a group's members; `None` of a group that has never had any.
    #[must_use]
    pub fn members(&self, group: GroupId) -> Option<&RoaringBitmap> {
        self.members.get(&group).map(|members| &**members)
    }

    /// A group's members, to change them.
    pub fn members_mut(&mut self, group: GroupId) -> &mut RoaringBitmap {
        Arc::make_mut(self.members.entry(group).or_default())
    }

    /// Groups that have, or had, members.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.members.keys().copied()
    }

    /// A policy, deleted or not.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> Option<&Arc<PolicyRow>> {
        self.policies.get(&id)
    }

    /// All policies, deleted ones too, in no order.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyId, &Arc<PolicyRow>)> {
        self.policies.iter().map(|(id, row)| (*id, row))
    }

    /// Makes or replaces a policy. Its assignments hold whatever becomes of it.
    pub fn put_policy(&mut self, id: PolicyId, row: PolicyRow) {
        self.policies.insert(id, Arc::new(row));
    }

    /// An assignment, dormant ones too.
    #[must_use]
    pub fn assigned(&self, policy: PolicyId, group: GroupId) -> Option<&Assigned> {
        self.assignments.get(&(policy, group))
    }

    /// A policy's assignments by group, dormant ones too.
    pub fn assignments(&self, policy: PolicyId) -> impl Iterator<Item = (GroupId, &Assigned)> {
        let first = (policy, GroupId::from_uuid(Uuid::nil()));
        let of_policy = self.assignments.range(first..).take_while(move |((other, _), _)| *other == policy);
        of_policy.map(|((_, group), assigned)| (*group, assigned))
    }

    /// All assignments, dormant ones too.
    pub fn all_assignments(&self) -> impl Iterator<Item = (PolicyId, GroupId, &Assigned)> {
        self.assignments.iter().map(|((policy, group), assigned)| (*policy, *group, assigned))
    }

    /// Assigns a policy to a group, or changes how it is assigned.
    pub fn assign(&mut self, policy: PolicyId, group: GroupId, assigned: Assigned) {
        self.assignments.insert((policy, group), assigned);
        self.by_group.entry(group).or_default().insert(policy);
    }

    /// Takes an assignment back.
    pub fn unassign(&mut self, policy: PolicyId, group: GroupId) {
        self.assignments.remove(&(policy, group));
        if let Some(policies) = self.by_group.get_mut(&group) {
            policies.remove(&policy);
            if policies.is_empty() {
                self.by_group.remove(&group);
            }
        }
    }

    /// An active waiver.
    #[must_use]
    pub fn waived(&self, id: WaiverId) -> Option<&Waived> {
        self.waived.get(&id)
    }

    /// All active waivers.
    pub fn all_waived(&self) -> impl Iterator<Item = (WaiverId, &Waived)> {
        self.waived.iter().map(|(id, waived)| (*id, waived))
    }

    /// Makes a waiver active.
    pub fn waive(&mut self, id: WaiverId, waived: Waived) {
        self.waived.insert(id, waived);
    }

    /// Ends a waiver.
    pub fn end_waiver(&mut self, id: WaiverId) -> Option<Waived> {
        self.waived.remove(&id)
    }

    /// Ordinals of the devices that a waiver is for.
    #[must_use]
    pub fn targeted(&self, whom: Whom) -> RoaringBitmap {
        match whom {
            Whom::Group(group) => self.members(group).cloned().unwrap_or_default(),
            Whom::Device(ordinal) => RoaringBitmap::from_iter([ordinal]),
        }
    }

    /// Whether an assignment or a waiver is made for a group, so that a change of its members matters.
    #[must_use]
    pub fn is_targeted(&self, group: GroupId) -> bool {
        self.by_group.contains_key(&group)
            || self.waived.values().any(|waived| waived.whom == Whom::Group(group))
    }

    /// Ordinals of the members of all groups that a policy is assigned to, in or out.
    #[must_use]
    pub fn reached(&self, policy: PolicyId) -> RoaringBitmap {
        let members = self.assignments(policy).filter_map(|(group, _)| self.members(group));
        members.fold(RoaringBitmap::new(), |reached, members| reached | members)
    }
}
