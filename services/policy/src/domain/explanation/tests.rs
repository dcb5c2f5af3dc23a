//! Given what reaches a device, then what people are told of it.

use std::collections::BTreeMap;

use muster_catalog::{Channel, RulesAsOf, TamperLock};
use muster_types::Timestamp;
use uuid::Uuid;

use super::*;
use crate::domain::assignment::{Assigned, Tie};
use crate::domain::policy::OnUnassign;
use crate::domain::resolve::{PolicyRow, Waived};
use crate::domain::waiver::Exempt;

const NOW: Timestamp = Timestamp::from_micros(0);
const LEVEL: &str = "linux-antivirus/enforcement_level";

fn policy(n: u128) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(n))
}

fn group(n: u128) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(n))
}

fn subject() -> Subject {
    let facts = Facts {
        platform: Platform::Linux,
        channel: Channel::Ssm,
        domain_controller: false,
        agent_level: Catalogue::builtin().agent_level(Platform::Linux, None),
        tamper: TamperLock::On,
        rules_as_of: RulesAsOf::Current,
    };
    Subject { ordinal: Some(0), facts: Some(facts), idle: "the device is not onboarded yet" }
}

/// Device 0, and policies with a level each, assigned to groups of their own with priorities; 0 is none.
fn tables(policies: &[(&str, u32)]) -> Tables {
    let mut tables = Tables::default();
    tables.reclass(0, None, subject().facts);
    for (n, (level, priority)) in (1..).zip(policies) {
        let row = PolicyRow {
            display_name: format!("Policy {n}"),
            profile: "linux-antivirus".to_owned(),
            settings: BTreeMap::from([(LEVEL.parse().unwrap(), SettingValue::Text((*level).into()))]),
            on_unassign: OnUnassign::Revert,
            revision: 7,
            create_time: NOW,
            update_time: NOW,
            delete_time: None,
            actor: String::new(),
            reason: String::new(),
        };
        tables.put_policy(policy(n), row);
        tables.members_mut(group(n)).insert(0);
        tie(&mut tables, n, n, Intent::Include, *priority);
    }
    tables
}

fn tie(tables: &mut Tables, n: u128, to: u128, intent: Intent, priority: u32) {
    let tie = Tie { priority: Priority::new(priority), ..Tie::plain(intent) };
    tables.assign(policy(n), group(to), Assigned { tie, at: NOW });
}

fn explained(tables: &Tables) -> Explained {
    let id: SettingId = LEVEL.parse().unwrap();
    let explanation = explain(tables, Catalogue::builtin(), &subject(), Some(&id));
    explanation.settings.into_iter().next().unwrap()
}

fn who(carriers: &[Carrier]) -> Vec<u128> {
    carriers.iter().map(|carrier| carrier.policy.uuid().as_u128()).collect()
}

#[test]
fn a_setting_of_one_policy_names_it() {
    let explained = explained(&tables(&[("real_time", 0)]));
    assert_eq!(explained.summary, "Policy \"Policy 1\" sets it to real_time.");
    let [winner] = &explained.winners[..] else { panic!("{explained:?}") };
    assert_eq!((winner.revision, &winner.groups[..]), (7, &[(group(1), None)][..]));
    assert!(explained.losers.is_empty() && explained.withheld.is_none());
}

#[test]
fn a_conflict_names_all_and_a_priority_names_winner_and_losers() {
    let conflict = explained(&tables(&[("real_time", 0), ("passive", 0)]));
    assert_eq!((conflict.value, conflict.withheld), (None, Some(WithheldReason::Conflict)));
    assert_eq!(who(&conflict.losers), [1, 2]);
    assert_eq!(
        conflict.summary,
        "Withheld: policies want different values and no priority decides: \"Policy 1\" (real_time) and \
         \"Policy 2\" (passive)."
    );
    let decided = explained(&tables(&[("real_time", 0), ("passive", 3)]));
    assert_eq!((who(&decided.winners), who(&decided.losers)), (vec![2], vec![1]));
    assert_eq!(
        decided.summary,
        "Policy \"Policy 2\" sets it to passive. Priority 3 decides over \"Policy 1\" (real_time)."
    );
}

#[test]
fn what_nobody_carries_is_the_products_default() {
    let explained = explained(&tables(&[]));
    assert!(explained.value.is_none() && explained.winners.is_empty());
    assert!(
        explained.summary.starts_with("No assigned policy sets it; the product"),
        "{}",
        explained.summary
    );
}

#[test]
fn a_waiver_is_named_and_its_policy_loses() {
    let mut tables = tables(&[("real_time", 0), ("passive", 0)]);
    let waiver = WaiverId::from_uuid(Uuid::from_u128(9));
    tables.waive(waiver, Waived { exempt: Exempt::Policy(policy(2)), whom: Whom::Group(group(2)) });
    let one = explained(&tables);
    assert_eq!((who(&one.winners), who(&one.losers)), (vec![1], vec![2]));
    assert_eq!(one.waivers, [waiver]);
    let all = Exempt::Setting(LEVEL.parse().unwrap());
    tables.waive(waiver, Waived { exempt: all, whom: Whom::Device(0) });
    let none = explained(&tables);
    assert_eq!((none.withheld, none.waivers), (Some(WithheldReason::Waived), vec![waiver]));
    assert!(none.summary.starts_with("Withheld: a waiver exempts the device"), "{}", none.summary);
}

#[test]
fn policies_that_do_not_reach_say_why() {
    let mut tables = tables(&[("real_time", 0), ("passive", 0)]);
    tie(&mut tables, 1, 2, Intent::Exclude, 0);
    let mut row = PolicyRow::clone(tables.policy(policy(2)).unwrap());
    row.profile = "windows-antivirus".into();
    row.settings.clear();
    tables.put_policy(policy(2), row);
    let explanation = explain(&tables, Catalogue::builtin(), &subject(), None);
    assert_eq!(explanation.settings, []);
    assert_eq!(
        explanation.not_reaching,
        [
            (policy(1), format!("excluded by group {}", group(2))),
            (policy(2), "it is for Windows; the device runs Linux".to_owned()),
        ]
    );
    let idle = Subject { facts: None, ..subject() };
    tables.reclass(0, subject().facts, None);
    let explanation = explain(&tables, Catalogue::builtin(), &idle, None);
    assert_eq!(explanation.not_reaching[1].1, "the device is not onboarded yet");
}
