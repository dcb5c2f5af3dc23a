//! Given policies and whom they are assigned to, then who contradicts whom.

use std::collections::BTreeMap;

use muster_catalog::{Channel, Platform, RulesAsOf, TamperLock};
use muster_types::Timestamp;
use uuid::Uuid;

use super::*;
use crate::domain::assignment::{Assigned, Tie};
use crate::domain::policy::OnUnassign;
use crate::domain::resolve::Facts;

const NOW: Timestamp = Timestamp::from_micros(0);

fn policy(n: u128) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(n))
}

fn group(n: u128) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(n))
}

/// Devices 0 to 9, Linux; group n has the devices that n divides.
fn tables() -> Tables {
    let mut tables = Tables::default();
    let facts = Facts {
        platform: Platform::Linux,
        channel: Channel::Ssm,
        domain_controller: false,
        agent_level: Catalogue::builtin().agent_level(Platform::Linux, None),
        tamper: TamperLock::Unknown,
        rules_as_of: RulesAsOf::Current,
    };
    (0..10).for_each(|ordinal| tables.reclass(ordinal, None, Some(facts)));
    for n in 1..4_u32 {
        tables.members_mut(group(n.into())).extend((0..10).filter(|ordinal| ordinal % n == 0));
    }
    tables
}

fn put(tables: &mut Tables, n: u128, setting: &str, value: SettingValue) {
    let id: SettingId = setting.parse().unwrap();
    let row = PolicyRow {
        display_name: format!("policy {n}"),
        profile: id.profile().to_owned(),
        settings: BTreeMap::from([(id, value)]),
        on_unassign: OnUnassign::Revert,
        revision: 1,
        create_time: NOW,
        update_time: NOW,
        delete_time: None,
        actor: String::new(),
        reason: String::new(),
    };
    tables.put_policy(policy(n), row);
}

fn tie(tables: &mut Tables, n: u128, to: u128, intent: Intent, priority: u32) {
    let tie = Tie { priority: Priority::new(priority), ..Tie::plain(intent) };
    tables.assign(policy(n), group(to), Assigned { tie, at: NOW });
}

fn level(level: &str) -> SettingValue {
    SettingValue::Text(level.into())
}

fn threats(items: &[(&str, &str)]) -> SettingValue {
    let text = |text: &str| SettingValue::Text(text.into());
    let item = |(key, value): &(&str, &str)| {
        BTreeMap::from([("key".to_owned(), text(key)), ("value".to_owned(), text(value))])
    };
    SettingValue::Objects(items.iter().map(item).collect())
}

const LEVEL: &str = "linux-antivirus/enforcement_level";

fn found(tables: &Tables) -> Vec<Collision> {
    collisions(tables, Catalogue::builtin(), None)
}

/// How many devices collide when two policies with these values are assigned to groups 1 and 2.
fn between(setting: &str, one: SettingValue, other: SettingValue) -> Option<u64> {
    let mut tables = tables();
    put(&mut tables, 1, setting, one);
    put(&mut tables, 2, setting, other);
    tie(&mut tables, 1, 1, Intent::Include, 0);
    tie(&mut tables, 2, 2, Intent::Include, 0);
    found(&tables).first().map(|collision| collision.devices)
}

#[test]
fn what_can_differ_is_what_the_merge_mode_cannot_bring_together() {
    let texts = |items: &[&str]| SettingValue::Strings(items.iter().map(ToString::to_string).collect());
    assert_eq!(between(LEVEL, level("real_time"), level("passive")), Some(5));
    assert_eq!(between(LEVEL, level("passive"), level("passive")), None);
    let union = "linux-antivirus/allowed_threats";
    assert_eq!(between(union, texts(&["a"]), texts(&["b"])), None);
    let by_key = "linux-antivirus/threat_type_settings";
    assert_eq!(between(by_key, threats(&[("a", "audit")]), threats(&[("b", "block")])), None);
    assert_eq!(between(by_key, threats(&[("a", "audit")]), threats(&[("a", "audit"), ("b", "block")])), None);
    assert_eq!(between(by_key, threats(&[("a", "audit")]), threats(&[("a", "block")])), Some(5));
}

#[test]
fn excluded_devices_and_those_that_get_nothing_do_not_count_and_the_most_come_first() {
    let mut tables = tables();
    for (n, value) in [(1, "real_time"), (2, "passive"), (3, "on_demand")] {
        put(&mut tables, n, LEVEL, level(value));
        tie(&mut tables, n, n, Intent::Include, 0);
    }
    let counts = |tables: &Tables| -> Vec<_> {
        let pair = |found: &Collision| found.assignments.map(|(policy, _)| policy.uuid().as_u128());
        found(tables).iter().map(|found| (pair(found), found.devices)).collect()
    };
    assert_eq!(counts(&tables), [([1, 2], 5), ([1, 3], 4), ([2, 3], 2)]);
    tie(&mut tables, 1, 2, Intent::Exclude, 0);
    assert_eq!(counts(&tables), [([1, 3], 2), ([2, 3], 2), ([1, 2], 0)]);
    let of = BTreeSet::from([policy(2)]);
    assert_eq!(collisions(&tables, Catalogue::builtin(), Some(&of)).len(), 2);
    put(&mut tables, 3, "windows-antivirus/disable_cpu_throttle_on_idle_scans", SettingValue::Boolean(true));
    assert_eq!(counts(&tables), [([1, 2], 0)]);
}

#[test]
fn a_priority_decides_and_the_same_on_both_sides_does_not() {
    for (priorities, decided) in [((0, 0), false), ((1, 0), true), ((2, 1), true), ((3, 3), false)] {
        let mut tables = tables();
        put(&mut tables, 1, LEVEL, level("real_time"));
        put(&mut tables, 2, LEVEL, level("passive"));
        tie(&mut tables, 1, 1, Intent::Include, priorities.0);
        tie(&mut tables, 2, 2, Intent::Include, priorities.1);
        assert_eq!(found(&tables)[0].decided, decided, "{priorities:?}");
    }
}
