//! Given past events, when a command, then new events or a refusal.

use std::time::Duration;

use muster_types::{DeviceId, GroupId, PolicyId, RequestId, SettingId, Timestamp};
use uuid::Uuid;

use super::{Command, Error, Event, Exempt, Grant, TIME_MAX, Target, Waiver};
use crate::domain::Origin;

const NOW: Timestamp = Timestamp::from_micros(5_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn given(events: &[Event]) -> Waiver {
    let mut waiver = Waiver::default();
    events.iter().for_each(|event| waiver.evolve(event));
    waiver
}

fn origin(reason: &str, n: u128) -> Origin {
    let request = RequestId::from_uuid(Uuid::from_u128(n));
    Origin { actor: "admin:ada".into(), reason: reason.into(), request, at: NOW }
}

fn terms(expire: Timestamp) -> Grant {
    Grant {
        exempt: Exempt::Policy(PolicyId::from_uuid(Uuid::from_u128(1))),
        target: Target::Group(GroupId::from_uuid(Uuid::from_u128(2))),
        approver: "Grace".into(),
        expire,
    }
}

fn grant(grant: Grant, reason: &str) -> Command {
    Command::Grant { grant, origin: origin(reason, 1) }
}

fn granted() -> Event {
    Event::Granted { grant: terms(NOW.plus(HOUR)), origin: origin("migration", 1) }
}

const fn expire(now: Timestamp) -> Command {
    Command::Expire { now }
}

fn revoke() -> Command {
    Command::Revoke { origin: origin("done", 2) }
}

#[test]
fn a_waiver_is_granted_once() {
    let wish = grant(terms(NOW.plus(HOUR)), "migration");
    assert_eq!(given(&[]).decide(&wish), Ok(vec![granted()]));
    assert_eq!(given(&[granted()]).decide(&wish), Ok(vec![]));
    let ended = given(&[granted(), Event::Expired { at: NOW.plus(HOUR) }]);
    assert_eq!(ended.decide(&wish), Ok(vec![]));
    for other in [grant(terms(NOW.plus(2 * HOUR)), "migration"), grant(terms(NOW.plus(HOUR)), "else")] {
        assert_eq!(given(&[granted()]).decide(&other), Err(Error::RequestReused));
    }
}

#[test]
fn a_waiver_says_why_who_approved_it_and_when_it_ends() {
    let end = terms(NOW.plus(HOUR));
    assert_eq!(given(&[]).decide(&grant(end.clone(), "")), Err(Error::Reason { found: 0 }));
    let long = "ä".repeat(1_025);
    assert_eq!(given(&[]).decide(&grant(end.clone(), &long)), Err(Error::Reason { found: 1_025 }));
    let nobody = Grant { approver: String::new(), ..end };
    assert_eq!(given(&[]).decide(&grant(nobody, "why")), Err(Error::Approver { found: 0 }));
    assert_eq!(given(&[]).decide(&grant(terms(NOW), "why")), Err(Error::EndsInThePast));
    assert!(given(&[]).decide(&grant(terms(NOW.plus(TIME_MAX)), "why")).is_ok());
    let too_long = terms(NOW.plus(TIME_MAX + Duration::from_secs(1)));
    assert_eq!(given(&[]).decide(&grant(too_long, "why")), Err(Error::LastsTooLong));
}

#[test]
fn a_waiver_expires_at_its_time_and_not_before() {
    let waiver = given(&[granted()]);
    assert_eq!(waiver.decide(&expire(NOW)), Ok(vec![]));
    let end = NOW.plus(HOUR);
    assert_eq!(waiver.decide(&expire(end)), Ok(vec![Event::Expired { at: end }]));
    let expired = given(&[granted(), Event::Expired { at: end }]);
    assert_eq!(expired.decide(&expire(end)), Ok(vec![]));
    assert_eq!(expired.decide(&revoke()), Ok(vec![]));
}

#[test]
fn a_waiver_that_was_revoked_does_not_expire() {
    let revoked = Event::Revoked { origin: origin("done", 2) };
    assert_eq!(given(&[granted()]).decide(&revoke()), Ok(vec![revoked.clone()]));
    let ended = given(&[granted(), revoked]);
    assert_eq!(ended.decide(&revoke()), Ok(vec![]));
    assert_eq!(ended.decide(&expire(NOW.plus(2 * HOUR))), Ok(vec![]));
}

#[test]
fn what_was_never_granted_is_unknown() {
    assert_eq!(given(&[]).decide(&revoke()), Err(Error::Unknown));
    assert_eq!(given(&[]).decide(&expire(NOW)), Err(Error::Unknown));
}

#[test]
fn an_exemption_covers_what_it_names() {
    let policy = |n| PolicyId::from_uuid(Uuid::from_u128(n));
    let setting = |name: &str| name.parse::<SettingId>().unwrap();
    let covers = |exempt: &Exempt| {
        [(1, "a/x"), (1, "a/y"), (2, "a/x")].map(|(n, name)| exempt.covers(policy(n), &setting(name)))
    };
    assert_eq!(covers(&Exempt::Setting(setting("a/x"))), [true, false, true]);
    assert_eq!(covers(&Exempt::Policy(policy(1))), [true, true, false]);
    assert_eq!(covers(&Exempt::SettingOf(policy(1), setting("a/x"))), [true, false, false]);
    let one = Target::Device(DeviceId::from_uuid(Uuid::nil()));
    assert_ne!(one, Target::Group(GroupId::from_uuid(Uuid::nil())));
}
