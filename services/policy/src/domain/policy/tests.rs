//! Given past events, when a command, then new events or a refusal.

use std::collections::BTreeMap;

use muster_types::{RequestId, SettingId, SettingValue, Timestamp};
use uuid::Uuid;

use super::{Command, Error, Event, OnUnassign, Policy};

const NOW: Timestamp = Timestamp::from_micros(5);

fn given(events: &[Event]) -> Policy {
    let mut policy = Policy::default();
    events.iter().for_each(|event| policy.evolve(event));
    policy
}

fn request(n: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(n))
}

fn settings(days: i64) -> BTreeMap<SettingId, SettingValue> {
    let id = "linux-antivirus/scan_results_retention_days".parse().unwrap();
    BTreeMap::from([(id, SettingValue::Integer(days))])
}

fn create(name: &str, n: u128) -> Command {
    Command::Create {
        display_name: name.into(),
        profile: "linux-antivirus".into(),
        settings: settings(30),
        on_unassign: OnUnassign::Revert,
        request: request(n),
        now: NOW,
    }
}

fn created() -> Event {
    Event::Created {
        display_name: "Servers".into(),
        profile: "linux-antivirus".into(),
        settings: settings(30),
        on_unassign: OnUnassign::Revert,
        request: request(1),
        at: NOW,
    }
}

fn revise(name: &str, days: i64, etag: &str, n: u128) -> Command {
    Command::Revise {
        display_name: name.into(),
        settings: settings(days),
        on_unassign: OnUnassign::Revert,
        etag: etag.into(),
        request: request(n),
        now: NOW,
    }
}

fn revised(revision: u64, days: i64, n: u128) -> Event {
    Event::Revised {
        revision,
        display_name: "Servers".into(),
        settings: settings(days),
        on_unassign: OnUnassign::Revert,
        request: request(n),
        at: NOW,
    }
}

fn delete(etag: &str, n: u128) -> Command {
    Command::Delete { etag: etag.into(), request: request(n) }
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
    let gone = given(&[created(), Event::Deleted { request: request(2) }]);
    assert_eq!(gone.decide(&create("Servers", 1)), Err(Error::RequestReused));
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
fn keeping_what_was_set_is_a_revision_of_its_own() {
    let policy = given(&[created()]);
    let keep = |mut command: Command| {
        if let Command::Create { on_unassign, .. } | Command::Revise { on_unassign, .. } = &mut command {
            *on_unassign = OnUnassign::Keep;
        }
        command
    };
    let decided = policy.decide(&keep(revise("Servers", 30, "", 2))).unwrap();
    assert!(matches!(decided[..], [Event::Revised { revision: 2, on_unassign: OnUnassign::Keep, .. }]));
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
    assert_eq!(policy.decide(&delete("r1", 4)), Err(stale));
}

#[test]
fn a_policy_is_deleted_once() {
    let deleted = Event::Deleted { request: request(4) };
    assert_eq!(given(&[created()]).decide(&delete("r1", 4)), Ok(vec![deleted.clone()]));
    let gone = given(&[created(), deleted]);
    assert_eq!(gone.decide(&delete("r1", 4)), Ok(vec![]));
    assert_eq!(gone.decide(&delete("", 5)), Err(Error::Unknown));
    assert_eq!(gone.decide(&revise("Servers", 31, "", 5)), Err(Error::Unknown));
}

#[test]
fn what_was_never_made_is_unknown() {
    assert_eq!(given(&[]).decide(&delete("", 1)), Err(Error::Unknown));
    assert_eq!(given(&[]).decide(&revise("Servers", 31, "", 1)), Err(Error::Unknown));
}
