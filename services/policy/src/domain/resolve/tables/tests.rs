//! Given tables, then which devices differ and what reaches them.

use muster_catalog::{Catalogue, Platform, RulesAsOf, TamperLock};
use muster_types::{GroupId, PolicyId, Timestamp, WaiverId};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::*;
use crate::domain::assignment::{Intent, Priority, Tie};
use crate::domain::resolve::Channel;

fn group(n: u8) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(n.into()))
}

fn policy(n: u8) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(n.into()))
}

fn waiver(n: u8) -> WaiverId {
    WaiverId::from_uuid(Uuid::from_u128(n.into()))
}

fn linux() -> Facts {
    Facts {
        platform: Platform::Linux,
        channel: Channel::Ssm,
        domain_controller: false,
        agent_level: Catalogue::builtin().agent_level(Platform::Linux, None),
        tamper: TamperLock::Unknown,
        rules_as_of: RulesAsOf::Current,
    }
}

fn row() -> PolicyRow {
    let at = Timestamp::from_micros(0);
    PolicyRow {
        display_name: "p".into(),
        profile: "linux-antivirus".into(),
        settings: [("linux-antivirus/scan_archives".parse().unwrap(), SettingValue::Boolean(true))].into(),
        on_unassign: OnUnassign::Revert,
        revision: 1,
        create_time: at,
        update_time: at,
        delete_time: None,
        actor: String::new(),
        reason: String::new(),
    }
}

fn assigned(intent: Intent, priority: u32) -> Assigned {
    let tie = Tie { priority: Priority::new(priority), ..Tie::plain(intent) };
    Assigned { tie, at: Timestamp::from_micros(0) }
}

/// Twenty devices, and policy `n` assigned to group `n`.
fn tables(groups: &[RoaringBitmap]) -> Tables {
    let mut tables = Tables::default();
    (0..20).for_each(|ordinal| tables.reclass(ordinal, None, Some(linux())));
    for (n, members) in (0..).zip(groups) {
        *tables.members_mut(group(n)) = members.clone();
        tables.put_policy(policy(n), row());
        tables.assign(policy(n), group(n), assigned(Intent::Include, 0));
    }
    tables
}

fn everyone() -> RoaringBitmap {
    (0..20).collect()
}

#[test]
fn a_copy_that_is_changed_leaves_the_tables_as_they_were() {
    let tables = tables(&[(0..10).collect()]);
    let mut copy = tables.clone();
    copy.members_mut(group(0)).insert(15);
    copy.put_policy(policy(0), PolicyRow { revision: 2, ..row() });
    copy.reclass(3, Some(linux()), None);
    assert_eq!(tables.members(group(0)).map(RoaringBitmap::len), Some(10));
    assert_eq!(tables.policy(policy(0)).unwrap().revision, 1);
    assert_eq!(tables.parts(&everyone()).len(), 2);
    assert_eq!(copy.parts(&everyone()).iter().map(|part| part.devices.len()).sum::<u64>(), 19);
}

#[test]
fn an_exclusion_wins_and_the_least_priority_counts() {
    let mut tables = tables(&[(0..10).collect(), (0..20).collect(), (5..10).collect()]);
    tables.assign(policy(0), group(0), assigned(Intent::Include, 7));
    tables.assign(policy(0), group(1), assigned(Intent::Include, 3));
    tables.assign(policy(0), group(2), assigned(Intent::Exclude, 0));
    let reach_of = |ordinal: u32| {
        let part = tables.parts(&RoaringBitmap::from_iter([ordinal])).remove(0);
        let mut policies = tables.reach(&part).policies;
        policies.retain(|reaching| reaching.policy == policy(0));
        policies
    };
    let inside = &reach_of(1)[0];
    assert_eq!(inside.priority, Priority::new(3));
    assert_eq!(inside.groups, [group(0), group(1)]);
    assert_eq!(reach_of(7), []);
    assert_eq!(reach_of(15)[0].groups, [group(1)]);
}

#[test]
fn what_takes_nothing_out_makes_no_difference() {
    let mut tables = tables(&[(0..10).collect()]);
    let elsewhere = Exempt::Setting("linux-antivirus/allowed_threats".parse().unwrap());
    tables.waive(waiver(1), Waived { exempt: elsewhere, whom: Whom::Device(3) });
    let parts = tables.parts(&(0..10).collect());
    assert_eq!(parts.len(), 2);
    assert_eq!(tables.reach(&parts[0]), tables.reach(&parts[1]));
    tables.waive(waiver(2), Waived { exempt: Exempt::Policy(policy(0)), whom: Whom::Group(group(0)) });
    let effective = tables.resolve(&tables.reach(&tables.parts(&(0..1).collect())[0]), Catalogue::builtin());
    assert!(effective.settings.is_empty());
    tables.end_waiver(waiver(2));
    let effective = tables.resolve(&tables.reach(&tables.parts(&(0..1).collect())[0]), Catalogue::builtin());
    assert_eq!(effective.settings.len(), 1);
}

#[test]
fn a_deleted_policy_reaches_nobody_and_sets_nobody_apart() {
    let mut tables = tables(&[(0..10).collect()]);
    tables.put_policy(policy(0), PolicyRow { delete_time: Some(Timestamp::from_micros(1)), ..row() });
    let parts = tables.parts(&everyone());
    assert_eq!(parts.len(), 1);
    assert_eq!(tables.reach(&parts[0]).policies, []);
}

#[test]
fn another_edition_of_the_rules_holds_for_all_classes() {
    let mut tables = tables(&[]);
    assert!(tables.set_rules(RulesAsOf::September2023));
    assert!(!tables.set_rules(RulesAsOf::September2023));
    let classes: Vec<_> = tables.classes().map(|(facts, class)| (facts.rules_as_of, class.len())).collect();
    assert_eq!(classes, [(RulesAsOf::September2023, 20)]);
}

proptest! {
    #[test]
    fn parts_are_disjoint_and_their_devices_are_in_the_same_groups(
        groups in prop::collection::vec(prop::collection::btree_set(0..30_u32, 0..25), 0..6),
        asked in prop::collection::btree_set(0..30_u32, 0..30),
    ) {
        let groups: Vec<RoaringBitmap> = groups.iter().map(|members| members.iter().copied().collect()).collect();
        let asked: RoaringBitmap = asked.into_iter().collect();
        let tables = tables(&groups);
        let mut seen = RoaringBitmap::new();
        for Part { devices, groups: of_part, .. } in tables.parts(&asked) {
            prop_assert!(!devices.is_empty() && devices.is_disjoint(&seen));
            for ordinal in &devices {
                let inside = (0..).zip(&groups).filter(|(_, members)| members.contains(ordinal));
                prop_assert_eq!(&of_part, &inside.map(|(n, _)| group(n)).collect::<Vec<_>>());
            }
            seen |= devices;
        }
        prop_assert_eq!(seen, asked & everyone());
    }
}
