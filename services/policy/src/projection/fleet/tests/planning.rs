//! What a plan foresees is what happens.

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_types::{Digest, SettingId, SettingValue, WithheldReason};

use super::random::{any_fact, possible};
use super::*;
use crate::domain::assignment::{self, Assignment};
use crate::domain::change;
use crate::domain::plan::{Plan, PlannedSetting, Proposal, plan};
use crate::domain::policy::Policy;
use crate::domain::waiver::Waiver;

/// A history, and changes that a plan may be made of after it.
fn any_change() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    (prop::collection::vec(any_fact(), 0..80), 0..70_usize).prop_map(|(facts, cut)| {
        let mut facts = possible(facts);
        let changes = facts.split_off(cut.min(facts.len()));
        (facts, changes.into_iter().filter(is_authored).collect())
    })
}

fn is_authored(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Created(..)
            | Fact::Revised(..)
            | Fact::Deleted(_)
            | Fact::Undeleted(_)
            | Fact::Assigned(..)
            | Fact::Preferred(..)
            | Fact::Unassigned(..)
            | Fact::Granted(..)
            | Fact::Ended(..)
            | Fact::Joined(..)
            | Fact::Left(..)
    )
}

fn whole(facts: &[Fact], changes: &[Fact]) -> Vec<Fact> {
    facts.iter().chain(changes).cloned().collect()
}

fn all_told(facts: &[Fact]) -> Fleet {
    folded(&logs(facts), &[0, 1, 2], usize::MAX)
}

/// The changes after a history, as a plan takes them.
fn proposal(before: &Fleet, facts: &[Fact], changes: &[Fact]) -> Proposal {
    let [_, _, told] = logs(facts);
    let [_, _, authored] = logs(&whole(facts, changes));
    let mut proposal =
        Proposal { facts: authored[told.len()..].iter().map(fact).collect(), ..Proposal::default() };
    for change in changes {
        let (Fact::Joined(n, of) | Fact::Left(n, of)) = change else { continue };
        let members = || before.tables().members(group(*n)).cloned().unwrap_or_default();
        let members = proposal.memberships.entry(group(*n)).or_insert_with(members);
        let of: RoaringBitmap = of.iter().copied().collect();
        if matches!(change, Fact::Joined(..)) {
            *members |= of;
        } else {
            *members -= of;
        }
    }
    let named: Vec<_> = Proposal::named_devices(&proposal.facts).collect();
    proposal.ordinals = named.into_iter().filter_map(|id| Some((id, before.ordinal(id)?))).collect();
    proposal
}

fn fact(event: &Envelope) -> change::Fact {
    let id = event.stream.id;
    if event.stream.aggregate == Aggregate::Policy {
        return change::Fact::Policy(PolicyId::from_uuid(id), Policy::decode(event).unwrap().unwrap());
    }
    if event.stream.aggregate == Aggregate::Assignment {
        let event = Assignment::decode(event).unwrap().unwrap();
        let (assignment::Event::Assigned { policy, group, .. }
        | assignment::Event::Unassigned { policy, group }) = event;
        return change::Fact::Assignment(policy, group, event);
    }
    change::Fact::Waiver(WaiverId::from_uuid(id), Waiver::decode(event).unwrap().unwrap())
}

fn planned(facts: &[Fact], changes: &[Fact]) -> Plan {
    let before = all_told(facts);
    plan(before.tables(), &proposal(&before, facts, changes), before.catalogue())
}

/// What both fleets say of each device, by ordinal.
fn pairs<'a>(before: &'a Fleet, after: &'a Fleet) -> Vec<(u32, &'a Effective, &'a Effective)> {
    let device = |ordinal: u32| {
        let of = |fleet: &'a Fleet| fleet.by_place(ordinal).map(|device| &**fleet.effective(device));
        Some((ordinal, of(before)?, of(after)?))
    };
    (0..4).filter_map(device).collect()
}

type Counts = BTreeMap<(SettingId, Option<SettingValue>, Option<SettingValue>), u64>;

fn counted(before: &Fleet, after: &Fleet) -> Counts {
    let mut counts = Counts::new();
    for (_, was, is) in pairs(before, after) {
        let of = |effective: &Effective| -> BTreeMap<SettingId, SettingValue> {
            effective.settings.iter().map(|setting| (setting.id.clone(), setting.value.clone())).collect()
        };
        let (was, is) = (of(was), of(is));
        let ids: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for id in ids.into_iter().filter(|id| was.get(id) != is.get(id)) {
            *counts.entry((id.clone(), was.get(id).cloned(), is.get(id).cloned())).or_default() += 1;
        }
    }
    counts
}

/// Settings of which devices have a conflict in one fleet alone, with how many.
fn conflicts(in_one: &Fleet, in_other: &Fleet) -> BTreeMap<SettingId, u64> {
    let mut counts = BTreeMap::new();
    let conflicts = |effective: &Effective| -> BTreeSet<SettingId> {
        let withheld = effective.withheld.iter().filter(|of| of.reason == WithheldReason::Conflict);
        withheld.map(|of| of.id.clone()).collect()
    };
    for (_, one, other) in pairs(in_one, in_other) {
        for id in conflicts(one).difference(&conflicts(other)) {
            *counts.entry(id.clone()).or_default() += 1;
        }
    }
    counts
}

fn effects(before: &Fleet, after: &Fleet) -> Vec<(u32, Digest, Digest)> {
    let etags = |(ordinal, was, is): (u32, &Effective, &Effective)| (ordinal, was.etag, is.etag);
    pairs(before, after).into_iter().map(etags).filter(|(_, was, is)| was != is).collect()
}

proptest! {
    #[test]
    fn what_is_planned_is_what_happens((facts, changes) in any_change()) {
        let (before, after) = (all_told(&facts), all_told(&whole(&facts, &changes)));
        let plan = planned(&facts, &changes);
        let touched: RoaringBitmap = effects(&before, &after).iter().map(|(ordinal, ..)| *ordinal).collect();
        prop_assert_eq!(&plan.touched, &touched);
        let mut counts = Counts::new();
        for setting in &plan.settings {
            let key = (setting.id.clone(), setting.before.clone(), setting.after.clone());
            *counts.entry(key).or_default() += setting.devices;
        }
        prop_assert_eq!(counts, counted(&before, &after));
        let sum = |planned: &[crate::domain::plan::PlannedConflict]| {
            let mut sum = BTreeMap::new();
            planned.iter().for_each(|of| *sum.entry(of.id.clone()).or_default() += of.devices);
            sum
        };
        prop_assert_eq!(sum(&plan.new_conflicts), conflicts(&after, &before));
        prop_assert_eq!(sum(&plan.solved_conflicts), conflicts(&before, &after));
        let kinds = plan.settings.iter().map(|of| (of.before.is_none(), of.after.is_some(), of.id.clone()));
        prop_assert!(kinds.is_sorted(), "removals, changes, additions, each by id");
    }

    #[test]
    fn the_digest_moves_exactly_with_what_would_happen(
        (facts, changes) in any_change(),
        later in any_fact().prop_filter("a membership is part of what is proposed", |fact| {
            !matches!(fact, Fact::Joined(..) | Fact::Left(..))
        }),
    ) {
        let changes: Vec<_> =
            changes.into_iter().filter(|fact| !matches!(fact, Fact::Joined(..) | Fact::Left(..))).collect();
        let before = all_told(&facts);
        let proposal = proposal(&before, &facts, &changes);
        let now = plan(before.tables(), &proposal, before.catalogue());
        prop_assert_eq!(now.digest, plan(before.tables(), &proposal, before.catalogue()).digest);
        let moved = possible(whole(&facts, &[later]));
        let then = all_told(&moved);
        let again = plan(then.tables(), &proposal, then.catalogue());
        // Who else says the same is told, and changes nothing for devices.
        let of = |plan: &Plan| {
            let settings = plan.settings.iter().cloned().map(|of| PlannedSetting { policies: Vec::new(), ..of });
            (plan.touched.clone(), settings.collect::<Vec<_>>())
        };
        if of(&now) != of(&again) {
            prop_assert_ne!(now.digest, again.digest);
        }
    }
}

fn story() -> Vec<Fact> {
    let mut story: Vec<_> = (0..3).flat_map(|n| [Fact::Onboarded(n), Fact::Trusted(n)]).collect();
    story.extend([
        Fact::Defined(0),
        Fact::Joined(0, vec![0, 1]),
        Fact::Created(0, 0),
        Fact::Assigned(0, 0, false),
        Fact::Created(1, 1),
    ]);
    story
}

#[test]
fn renaming_another_policy_keeps_the_digest_and_another_member_does_not() {
    let before = all_told(&story());
    let changes = [Fact::Assigned(1, 0, false)];
    let proposal = proposal(&before, &story(), &changes);
    let digest = |story: &[Fact]| {
        let fleet = all_told(story);
        plan(fleet.tables(), &proposal, fleet.catalogue()).digest
    };
    let with = |fact: Fact| whole(&story(), &[fact]);
    // A new revision that says the same is to devices what a rename is.
    assert_eq!(digest(&with(Fact::Revised(0, 0))), digest(&story()));
    assert_eq!(digest(&with(Fact::Created(2, 3))), digest(&story()));
    assert_ne!(digest(&with(Fact::Joined(0, vec![2]))), digest(&story()));
    assert_ne!(digest(&with(Fact::Revised(0, 2))), digest(&story()));
}

#[test]
fn a_conflict_that_comes_is_told_with_all_who_want_something() {
    let plan = planned(&story(), &[Fact::Assigned(1, 0, false)]);
    assert_eq!(plan.touched, RoaringBitmap::from([0, 1]));
    let [removed, changed] = &plan.settings[..] else { panic!("{:?}", plan.settings) };
    assert_eq!((removed.id.setting(), removed.devices), ("enforcement_level", 2));
    assert_eq!((removed.after.as_ref(), removed.withheld), (None, Some(WithheldReason::Conflict)));
    assert_eq!((changed.id.setting(), changed.policies.len()), ("allowed_threats", 2));
    let [conflict] = &plan.new_conflicts[..] else { panic!("{:?}", plan.new_conflicts) };
    assert_eq!((conflict.candidates.len(), conflict.devices), (2, 2));
    let whole = whole(&story(), &[Fact::Assigned(1, 0, false)]);
    let back = planned(&whole, &[Fact::Unassigned(1, 0)]);
    assert_eq!((back.new_conflicts.len(), back.solved_conflicts.len()), (0, 1));
}

#[test]
fn a_waiver_that_takes_effect_is_told_as_removal_with_its_reason() {
    let plan = planned(&story(), &[Fact::Granted(0, 0, 3)]);
    assert_eq!(plan.touched, RoaringBitmap::from([0]));
    assert_eq!(plan.settings[0].withheld, Some(WithheldReason::Waived));
    assert_eq!(plan.resolved, 2);
}
