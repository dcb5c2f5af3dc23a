//! What admins decide, and what it does to devices.

use muster_types::WithheldReason;

use super::*;

/// What is withheld from a device, and why.
fn withheld(fleet: &Fleet, n: u8) -> Vec<(String, WithheldReason)> {
    let withheld = of(fleet, n).withheld.iter();
    withheld.map(|withheld| (withheld.id.setting().to_owned(), withheld.reason)).collect()
}

fn with(facts: &[Fact]) -> Fleet {
    let mut story = story();
    story.extend_from_slice(facts);
    told(&story)
}

#[test]
fn a_waiver_of_a_group_exempts_its_members_until_it_ends() {
    let granted = [Fact::Joined(1, vec![1]), Fact::Granted(0, 0, 1)];
    let fleet = with(&granted);
    assert_eq!(withheld(&fleet, 0), []);
    assert_eq!(withheld(&fleet, 1), [("enforcement_level".to_owned(), WithheldReason::Waived)]);
    assert_eq!(fleet.expiries().collect::<Vec<_>>(), [(EXPIRE, waiver_id(0))]);
    for expired in [true, false] {
        let fleet = with(&[&granted[..], &[Fact::Ended(0, expired)]].concat());
        assert_eq!(of(&fleet, 1), of(&fleet, 0));
        assert_eq!(fleet.expiries().count(), 0);
        assert!(!fleet.waiver(waiver_id(0)).unwrap().is_active());
    }
}

#[test]
fn who_leaves_a_group_is_no_longer_exempt() {
    let fleet = with(&[Fact::Joined(1, vec![1]), Fact::Granted(0, 0, 1), Fact::Left(1, vec![1])]);
    assert_eq!(withheld(&fleet, 1), []);
}

#[test]
fn a_waiver_of_a_device_waits_until_the_device_is_trusted() {
    let fleet =
        with(&[Fact::Granted(0, 0, 3 + 3), Fact::Joined(0, vec![3]), Fact::Onboarded(3), Fact::Trusted(3)]);
    assert_eq!(withheld(&fleet, 3), [("enforcement_level".to_owned(), WithheldReason::Waived)]);
    assert_eq!(withheld(&fleet, 2), []);
}

#[test]
fn a_priority_decides_a_conflict() {
    let contradicting = [Fact::Created(1, 1), Fact::Assigned(1, 0, false)];
    let conflict = ("enforcement_level".to_owned(), WithheldReason::Conflict);
    assert_eq!(withheld(&with(&contradicting), 0), [conflict]);
    let fleet = with(&[&contradicting[..], &[Fact::Preferred(1, 0, 4)]].concat());
    assert_eq!(withheld(&fleet, 0), []);
    let losers = of(&fleet, 0).settings.iter().map(|setting| setting.losers.len());
    assert_eq!(losers.collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn the_version_of_the_product_decides_and_an_unknown_one_gets_everything() {
    assert_eq!(withheld(&with(&[]), 0), []);
    assert_eq!(withheld(&with(&[Fact::Surveyed(0, 1)]), 0), []);
    let older = withheld(&with(&[Fact::Surveyed(0, 4)]), 0);
    assert!(older.iter().all(|(_, reason)| *reason == WithheldReason::AgentVersion) && !older.is_empty());
}

#[test]
fn how_devices_check_in_is_kept() {
    assert_eq!(*with(&[]).check_in_settings(), CheckIns::default());
    let fleet = with(&[Fact::CheckIns(4), Fact::CheckIns(6)]);
    let CheckIns { values, changes, update_time } = fleet.check_in_settings();
    assert_eq!((values.hints_per_second, *changes, update_time.is_some()), (7, 2, true));
}

#[test]
fn another_edition_of_the_rules_is_taken_for_every_device() {
    let fleet = with(&[Fact::Rules(false)]);
    let rules = |n| fleet.facts(fleet.device(device(n)).unwrap()).unwrap().rules_as_of;
    assert_eq!((rules(0), rules(2)), (RulesAsOf::September2023, RulesAsOf::September2023));
}
