//! Histories of three logs, folded.

mod decisions;
mod history;
mod past;
mod planning;
mod random;
mod telling;

use std::sync::Arc;

use muster_catalog::RulesAsOf;
use muster_eventlog::project::Dirty;
use muster_types::EnrollmentCode;
use proptest::prelude::*;

use super::*;
use crate::domain::assignment::Intent;
use crate::domain::resolve::{Effective, Reaching, resolve};
use crate::domain::waiver::Target;
use crate::watch::Hint;
use history::*;
use random::any_history;

proptest! {
    #[test]
    fn the_logs_may_come_in_any_order_and_in_any_runs(
        logs in any_history(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        run in 1..20_usize,
    ) {
        let (one, other) = (folded(&logs, &[0], usize::MAX), folded(&logs, &choices, run));
        prop_assert_eq!(rows(&one), rows(&other));
        prop_assert_eq!(effective(&one), effective(&other));
    }

    #[test]
    fn every_device_has_what_is_resolved_for_it_alone(
        logs in any_history(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        run in 1..20_usize,
    ) {
        let fleet = folded(&logs, &choices, run);
        let mut distinct = BTreeSet::new();
        for device in &fleet.devices {
            let effective = fleet.effective(device);
            prop_assert_eq!(&**effective, &one_by_one(&fleet, device));
            distinct.insert(Arc::as_ptr(effective));
        }
        // Nothing is kept that no device has; results that differ in their reach alone may be equal.
        prop_assert!(fleet.results() <= distinct.len());
    }

    #[test]
    fn what_is_stored_brings_everything_back(logs in any_history()) {
        let fleet = folded(&logs, &[2, 0, 1], 1);
        let mut again = empty();
        rows(&fleet).iter().for_each(|(key, value)| again.load_row(key, value).unwrap());
        again.loaded(&Positions::ZERO);
        prop_assert_eq!(rows(&again), rows(&fleet));
        prop_assert_eq!(effective(&again), effective(&fleet));
    }

    #[test]
    fn trust_and_membership_told_again_change_nothing(logs in any_history()) {
        let once = folded(&logs, &[0, 1, 2], 3);
        let [mut enroll, mut identity, policy] = logs;
        enroll.extend(enroll.last().cloned());
        identity.extend(identity.last().cloned());
        let twice = folded(&[enroll, identity, policy], &[0, 1, 2], 3);
        prop_assert_eq!(effective(&once), effective(&twice));
    }
}

fn of(fleet: &Fleet, n: u8) -> &Arc<Effective> {
    fleet.effective(fleet.device(device(n)).unwrap())
}

/// What a device shall be set to, found without any of the tables' set algebra.
fn one_by_one(fleet: &Fleet, device: &Device) -> Effective {
    let (Some(facts), Some(ordinal)) = (fleet.facts(device), device.told.ordinal) else {
        return Effective::default();
    };
    let inside = |group| fleet.tables.members(group).is_some_and(|members| members.contains(ordinal));
    let reaching =
        fleet.policies_after(None).filter(|(_, row)| row.is_there()).filter_map(|(policy, row)| {
            let ties: Vec<_> = fleet.assignments(policy).filter(|(group, _)| inside(*group)).collect();
            let excluded = ties.iter().any(|(_, assigned)| assigned.tie.intent == Intent::Exclude);
            (!ties.is_empty() && !excluded).then(|| Reaching {
                policy,
                revision: row.revision,
                priority: ties.iter().filter_map(|(_, assigned)| assigned.tie.priority).min(),
                groups: ties.iter().map(|(group, _)| *group).collect(),
                settings: &row.settings,
            })
        });
    let exempt = fleet.waivers_after(None).filter(|(_, waiver)| {
        waiver.is_active()
            && match waiver.grant.target {
                Target::Group(group) => inside(group),
                Target::Device(id) => id == device.id,
            }
    });
    let exempt: Vec<_> = exempt.map(|(_, waiver)| waiver.grant.exempt.clone()).collect();
    resolve(&facts, &reaching.collect::<Vec<_>>(), &exempt, fleet.catalogue)
}

fn story() -> Vec<Fact> {
    let mut story: Vec<_> = (0..3).flat_map(|n| [Fact::Onboarded(n), Fact::Trusted(n)]).collect();
    story.extend([
        Fact::Defined(0),
        Fact::Joined(0, vec![0, 1, 2]),
        Fact::Created(0, 0),
        Fact::Assigned(0, 0, false),
    ]);
    story
}

fn told(facts: &[Fact]) -> Fleet {
    folded(&logs(facts), &[0, 1, 2], usize::MAX)
}

#[test]
fn devices_that_do_not_differ_share_one_result_and_one_resolution() {
    let fleet = told(&story());
    let of = |n| fleet.effective(fleet.device(device(n)).unwrap());
    assert_eq!(of(0).settings.len(), 2);
    assert!(Arc::ptr_eq(of(0), of(1)) && Arc::ptr_eq(of(1), of(2)));
    assert_eq!(fleet.metrics.resolutions(), 1);
}

#[test]
fn an_excluded_group_wins() {
    let mut story = story();
    story.extend([Fact::Joined(1, vec![1]), Fact::Assigned(0, 1, true)]);
    let fleet = told(&story);
    assert_eq!(of(&fleet, 1).settings, []);
    assert_eq!(of(&fleet, 0).settings.len(), 2);
}

#[test]
fn a_device_managed_elsewhere_gets_nothing() {
    let mut story = story();
    story.push(Fact::ManagedElsewhere(2));
    let fleet = told(&story);
    assert_eq!(**of(&fleet, 2), Effective::default());
}

#[test]
fn a_device_that_is_gone_gets_nothing_and_comes_back_when_it_onboards_again() {
    for (gone, fact) in [
        (Gone::Deleted, Fact::Removed(1)),
        (Gone::Offboarded, Fact::Offboarding(1, true)),
        (Gone::Merged, Fact::Merged(1)),
    ] {
        let mut story = story();
        story.push(fact);
        let fleet = told(&story);
        assert!(fleet.device(device(1)).is_none());
        assert_eq!(fleet.gone(device(1)), Some(gone));
        assert_eq!(fleet.tables.classes().map(|(_, class)| class.len()).sum::<u64>(), 2);
        story.push(Fact::Onboarded(1));
        let fleet = told(&story);
        assert_eq!(fleet.gone(device(1)), None);
        assert_eq!(of(&fleet, 1).settings.len(), 2);
    }
}

#[test]
fn authority_and_offboarding_are_told_as_the_last_event_has_them() {
    let mut story = story();
    story.push(Fact::Authority(0, false));
    let of = |story: &[Fact]| told(story).device(device(0)).unwrap().told;
    assert_eq!(of(&story).management, Management::Elsewhere(EnrollmentCode::ManagedByMdm));
    story.push(Fact::Refused(0));
    assert_eq!(of(&story).management, Management::Elsewhere(EnrollmentCode::OutOfScope));
    story.push(Fact::Authority(0, true));
    assert_eq!(of(&story).management, Management::Here);
    story.push(Fact::Offboarding(0, false));
    assert_eq!(of(&story).offboarding, Some(EXPIRE));
    assert_eq!(of(&story).facts, facts_mark(&[0; 32]));
}

#[test]
fn a_setting_is_kept_when_all_policies_in_it_say_so() {
    let kept = |values: [u8; 2]| {
        let mut story = story();
        // Lists are joined: both policies are in it. The level of both is one.
        story.extend([Fact::Revised(0, values[0]), Fact::Created(1, values[1]), Fact::Assigned(1, 0, false)]);
        let fleet = told(&story);
        let device = fleet.device(device(0)).unwrap();
        fleet.kept(device).map(|id| id.setting().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kept([2, 5]), ["allowed_threats", "enforcement_level"]);
    assert_eq!(kept([0, 3]), Vec::<String>::new());
    assert_eq!(kept([0, 1]), Vec::<String>::new());
}

#[tokio::test]
async fn a_device_is_hinted_when_what_it_must_do_changes() {
    let mut fleet = told(&story());
    for (position, fact) in (90..).zip([
        Fact::Authority(1, false),
        Fact::Authority(1, true),
        Fact::Suspected(1),
        Fact::Resolved(1),
        Fact::Offboarding(1, false),
    ]) {
        let watch = fleet.watches.open(device(1), Some(1)).unwrap();
        let other = fleet.watches.open(device(0), Some(0)).unwrap();
        let mut dirty = Dirty::default();
        fleet.apply(&fact.event(position, 0), &mut dirty).unwrap();
        fleet.settle(&Positions::ZERO, &mut dirty);
        assert_eq!(watch.next().await.hint().unwrap().traceparent.as_deref(), Some(TRACE), "{fact:?}");
        fleet.apply(&fact.event(position, 0), &mut dirty).unwrap();
        fleet.settle(&Positions::ZERO, &mut dirty);
        use futures::FutureExt as _;
        assert!(watch.next().now_or_never().is_none(), "told again, it is nothing new: {fact:?}");
        assert!(other.next().now_or_never().is_none());
    }
}

#[test]
fn a_deleted_policy_reaches_nobody_until_it_is_brought_back() {
    let mut story = story();
    story.push(Fact::Deleted(0));
    let fleet = told(&story);
    assert_eq!(of(&fleet, 0).settings, []);
    assert!(fleet.policy(policy_id(0)).is_none());
    assert_eq!(fleet.named("policy 0").count(), 0);
    story.extend([Fact::Unassigned(0, 0), Fact::Assigned(0, 0, false), Fact::Undeleted(0)]);
    let fleet = told(&story);
    assert_eq!(of(&fleet, 0).settings.len(), 2);
    assert_eq!(fleet.named("policy 0").count(), 1);
}

#[tokio::test]
async fn a_changed_device_is_hinted_with_the_trace_of_the_change_and_others_are_not() {
    let mut fleet = told(&story());
    let watch = fleet.watches.open(device(1), Some(1)).unwrap();
    let mut dirty = Dirty::default();
    fleet.apply(&Fact::Left(0, vec![0]).event(90, 0), &mut dirty).unwrap();
    fleet.settle(&Positions::ZERO, &mut dirty);
    fleet.apply(&Fact::Left(0, vec![1]).event(91, 0), &mut dirty).unwrap();
    fleet.settle(&Positions::ZERO, &mut dirty);
    let hint = watch.next().await.hint().unwrap();
    let Hint { etag, spread, traceparent } = hint;
    assert_eq!(etag, Effective::default().etag);
    assert_eq!(spread, std::time::Duration::ZERO);
    assert_eq!(traceparent.as_deref(), Some(TRACE));
}
