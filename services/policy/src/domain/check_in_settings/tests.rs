//! Given past events, when a command, then new events or a refusal.

use std::time::Duration;

use muster_types::{RequestId, Timestamp};
use uuid::Uuid;

use super::{CheckInSettings, Command, Error, Event, Values};
use crate::domain::Origin;

const NOW: Timestamp = Timestamp::from_micros(5);

fn given(events: &[Event]) -> CheckInSettings {
    let mut settings = CheckInSettings::default();
    events.iter().for_each(|event| settings.evolve(event));
    settings
}

fn origin(n: u128) -> Origin {
    let request = RequestId::from_uuid(Uuid::from_u128(n));
    Origin { actor: "admin:ada".into(), reason: String::new(), request, at: NOW }
}

fn hourly() -> Values {
    Values { interval: Duration::from_secs(3_600), ..Values::default() }
}

fn change(values: Values, etag: &str, n: u128) -> Command {
    Command::Change { values, etag: etag.into(), origin: origin(n) }
}

fn changed(values: Values, n: u128) -> Event {
    Event::Changed { values, origin: origin(n) }
}

#[test]
fn the_defaults_hold_until_they_are_changed() {
    let fresh = given(&[]);
    assert_eq!((fresh.values(), fresh.changes(), fresh.update_time()), (&Values::default(), 0, None));
    assert_eq!(fresh.decide(&change(Values::default(), "", 1)), Ok(vec![]));
    assert_eq!(fresh.decide(&change(hourly(), "r0", 1)), Ok(vec![changed(hourly(), 1)]));
    let settings = given(&[changed(hourly(), 1)]);
    assert_eq!((settings.changes(), settings.update_time()), (1, Some(NOW)));
}

#[test]
fn a_stale_etag_and_a_reused_request_are_refused_but_a_repeat_is_not() {
    let settings = given(&[changed(hourly(), 1)]);
    assert_eq!(settings.decide(&change(hourly(), "r0", 1)), Ok(vec![]));
    let stale = Error::EtagMismatch { expected: "r0".into(), found: "r1".into() };
    assert_eq!(settings.decide(&change(Values::default(), "r0", 2)), Err(stale));
    assert_eq!(settings.decide(&change(Values::default(), "", 1)), Err(Error::RequestReused));
}

#[test]
fn every_value_out_of_bounds_is_told() {
    let zero = Values {
        interval: Duration::ZERO,
        watched_interval: Duration::from_secs(25 * 3_600),
        first_count: 1_001,
        first_interval: Duration::ZERO,
        second_count: 1_001,
        second_interval: Duration::ZERO,
        hints_per_second: 0,
        policy_life: Duration::ZERO,
    };
    let Err(Error::OutOfBounds(problems)) = given(&[]).decide(&change(zero, "", 1)) else {
        panic!("out of bounds, and accepted");
    };
    assert_eq!(problems.len(), 8);
    assert_eq!(Values::default().problems(), []);
    let less = Values { watched_interval: Duration::from_secs(3_600), ..Values::default() };
    assert_eq!(less.problems()[0].field, "watched_interval");
}
