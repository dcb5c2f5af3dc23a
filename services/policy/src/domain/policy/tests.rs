//! Given past events, when a command, then new events or a refusal.

use std::collections::BTreeMap;

use muster_types::{RequestId, SettingId, SettingValue, Timestamp};
use uuid::Uuid;

use super::{Command, Content, Error, Event, OnUnassign, Policy, revision_id};
use crate::domain::Origin;

const NOW: Timestamp = Timestamp::from_micros(5);

fn given(events: &[Event]) -> Policy {
    let mut policy = Policy::default();
    events.iter().for_each(|event| policy.evolve(event));
    policy
}

fn origin(n: u128) -> Origin {
    let request = RequestId::from_uuid(Uuid::from_u128(n));
    Origin { actor: "admin:ada".into(), reason: format!("because {n}"), request, at: NOW }
}

fn settings(days: i64) -> BTreeMap<SettingId, SettingValue> {
    let id = "linux-antivirus/scan_results_retention_days".parse().unwrap();
    BTreeMap::from([(id, SettingValue::Integer(days))])
}

fn content(name: &str, days: i64) -> Content {
    Content { display_name: name.into(), settings: settings(days), on_unassign: OnUnassign::Revert }
}

fn create(name: &str, n: u128) -> Command {
    Command::Create { profile: "linux-antivirus".into(), content: content(name, 30), origin: origin(n) }
}

fn created() -> Event {
    Event::Created { profile: "linux-antivirus".into(), content: content("Servers", 30), origin: origin(1) }
}

fn revise(name: &str, days: i64, etag: &str, n: u128) -> Command {
    Command::Revise { content: content(name, days), etag: etag.into(), origin: origin(n) }
}

fn revised(revision: u64, days: i64, n: u128) -> Event {
    Event::Revised { revision, content: content("Servers", days), rolled_back_to: None, origin: origin(n) }
}

fn roll_back(to: u64, days: i64, etag: &str, n: u128) -> Command {
    let on_unassign = OnUnassign::Revert;
    Command::RollBack { to, settings: settings(days), on_unassign, etag: etag.into(), origin: origin(n) }
}

fn delete(etag: &str, n: u128) -> Command {
    Command::Delete { etag: etag.into(), origin: origin(n) }
}

fn deleted(n: u128) -> Event {
    Event::Deleted { origin: origin(n) }
}

fn undelete(n: u128) -> Command {
    Command::Undelete { origin: origin(n) }
}

fn undeleted(n: u128) -> Event {
    Event::Undeleted { origin: origin(n) }
}

#[test]
fn a_policy_is_created_once() {
    assert_eq!(given(&[]).decide(&create("Servers", 1)), Ok(vec![created()]));
    assert_eq!(given(&[created()]).decide(&create("Servers", 1)), Ok(vec![]));
    assert_eq!(given(&[created(), revised(2, 31, 2)]).decide(&create("Servers", 1)), Ok(vec![]));
}

#[test]
fn one_request_id_cannot_create_two_policies() {
    assert_eq!(given(&[created()]).decide(&create("Desktops", 1)), Err(Error::RequestReused));
    assert_eq!(given(&[created(), deleted(2)]).decide(&create("Servers", 1)), Err(Error::RequestReused));
}

#[test]
fn a_name_has_1_to_256_printable_characters() {
    assert!(given(&[]).decide(&create(&"ä".repeat(256), 1)).is_ok());
    for bad in ["", "a\nb", &"a".repeat(257)] {
        assert!(matches!(given(&[]).decide(&create(bad, 1)), Err(Error::Name(_))), "{bad:?} passed");
    }
    assert!(matches!(given(&[created()]).decide(&revise("", 30, "", 2)), Err(Error::Name(_))));
}

#[test]
fn a_change_makes_the_next_revision_and_no_change_makes_none() {
    let policy = given(&[created()]);
    assert_eq!(policy.decide(&revise("Servers", 31, "", 2)), Ok(vec![revised(2, 31, 2)]));
    assert_eq!(policy.decide(&revise("Servers", 30, "", 2)), Ok(vec![]));
}

#[test]
fn a_revision_says_who_made_it_and_why() {
    let policy = given(&[created(), revised(2, 31, 2)]);
    let known = policy.known().unwrap();
    assert_eq!((known.actor.as_str(), known.reason.as_str()), ("admin:ada", "because 2"));
}

#[test]
fn keeping_what_was_set_is_a_revision_of_its_own() {
    let policy = given(&[created()]);
    let keep = |mut command: Command| {
        if let Command::Create { content, .. } | Command::Revise { content, .. } = &mut command {
            content.on_unassign = OnUnassign::Keep;
        }
        command
    };
    let decided = policy.decide(&keep(revise("Servers", 30, "", 2))).unwrap();
    let [Event::Revised { revision: 2, content, .. }] = &decided[..] else { panic!("{decided:?}") };
    assert_eq!(content.on_unassign, OnUnassign::Keep);
    assert_eq!(policy.decide(&keep(create("Servers", 1))), Err(Error::RequestReused));
    let mut revised = policy;
    decided.iter().for_each(|event| revised.evolve(event));
    assert_eq!(revised.known().unwrap().on_unassign, OnUnassign::Keep);
}

#[test]
fn a_stale_etag_is_refused_but_a_repeat_is_not() {
    let policy = given(&[created(), revised(2, 31, 2)]);
    let stale = Error::EtagMismatch { expected: "r1".into(), found: "r2".into() };
    assert_eq!(policy.decide(&revise("Servers", 32, "r1", 3)), Err(stale.clone()));
    assert_eq!(policy.decide(&revise("Servers", 31, "r1", 2)), Ok(vec![]));
    assert_eq!(policy.decide(&revise("Servers", 32, "r1", 2)), Err(Error::RequestReused));
    assert_eq!(policy.decide(&revise("Servers", 32, "r2", 3)), Ok(vec![revised(3, 32, 3)]));
    assert_eq!(policy.decide(&delete("r1", 4)), Err(stale.clone()));
    assert_eq!(policy.decide(&roll_back(1, 30, "r1", 4)), Err(stale));
}

#[test]
fn a_request_that_did_its_work_does_no_other() {
    let policy = given(&[created(), revised(2, 31, 2), revised(3, 32, 3)]);
    assert_eq!(policy.decide(&revise("Servers", 31, "", 2)), Err(Error::RequestReused));
    assert_eq!(policy.decide(&delete("", 3)), Err(Error::RequestReused));
}

#[test]
fn rolling_back_is_a_new_revision_that_keeps_the_name() {
    let renamed = Event::Revised {
        revision: 2,
        content: content("Machines", 31),
        rolled_back_to: None,
        origin: origin(2),
    };
    let policy = given(&[created(), renamed]);
    let back = Event::Revised {
        revision: 3,
        content: content("Machines", 30),
        rolled_back_to: Some(1),
        origin: origin(3),
    };
    assert_eq!(policy.decide(&roll_back(1, 30, "", 3)), Ok(vec![back.clone()]));
    assert_eq!(policy.decide(&roll_back(2, 31, "", 3)), Ok(vec![]));
    let again = given(&[created(), revised(2, 31, 2), back]);
    assert_eq!(again.decide(&roll_back(1, 30, "r2", 3)), Ok(vec![]));
    assert_eq!(given(&[created(), deleted(2)]).decide(&roll_back(1, 30, "", 3)), Err(Error::Unknown));
}

#[test]
fn a_revision_is_named_by_its_content_and_not_by_its_name() {
    let id = |days, keep| revision_id("linux-antivirus", &settings(days), keep);
    assert_ne!(id(30, OnUnassign::Revert), id(31, OnUnassign::Revert));
    assert_ne!(id(30, OnUnassign::Revert), id(30, OnUnassign::Keep));
    assert_ne!(id(30, OnUnassign::Revert), revision_id("x", &settings(30), OnUnassign::Revert));
    let policy = given(&[created()]);
    let mut renamed = policy.clone();
    policy.decide(&revise("Machines", 30, "", 2)).unwrap().iter().for_each(|event| renamed.evolve(event));
    assert_eq!(renamed.known().unwrap().revision, 2);
    assert_eq!(renamed.known().unwrap().revision_id(), policy.known().unwrap().revision_id());
}

#[test]
fn a_policy_is_deleted_once() {
    assert_eq!(given(&[created()]).decide(&delete("r1", 4)), Ok(vec![deleted(4)]));
    let gone = given(&[created(), deleted(4)]);
    assert_eq!(gone.known(), None);
    assert_eq!(gone.decide(&delete("r1", 4)), Ok(vec![]));
    assert_eq!(gone.decide(&delete("", 5)), Err(Error::Unknown));
    assert_eq!(gone.decide(&revise("Servers", 31, "", 5)), Err(Error::Unknown));
}

#[test]
fn a_deleted_policy_comes_back_as_it_was() {
    let gone = given(&[created(), revised(2, 31, 2), deleted(4)]);
    assert_eq!(gone.decide(&undelete(5)), Ok(vec![undeleted(5)]));
    assert_eq!(gone.decide(&undelete(4)), Err(Error::RequestReused));
    let back = given(&[created(), revised(2, 31, 2), deleted(4), undeleted(5)]);
    assert_eq!(back.known().unwrap().settings, settings(31));
    assert_eq!(back.known().unwrap().revision, 2);
    assert_eq!(back.decide(&undelete(5)), Ok(vec![]));
    assert_eq!(back.decide(&undelete(6)), Ok(vec![]));
    assert_eq!(back.decide(&delete("", 4)), Err(Error::RequestReused));
}

#[test]
fn what_was_never_made_is_unknown() {
    assert_eq!(given(&[]).decide(&delete("", 1)), Err(Error::Unknown));
    assert_eq!(given(&[]).decide(&undelete(1)), Err(Error::Unknown));
    assert_eq!(given(&[]).decide(&revise("Servers", 31, "", 1)), Err(Error::Unknown));
}
