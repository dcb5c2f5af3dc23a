//! Given past events, when a command, then new events or a refusal.

use std::time::Duration;

use muster_types::{RequestId, Timestamp};
use uuid::Uuid;

use super::{Command, Error, Event, ReportSettings, Values};
use crate::domain::Origin;

const NOW: Timestamp = Timestamp::from_micros(5);

fn given(events: &[Event]) -> ReportSettings {
    let mut settings = ReportSettings::default();
    events.iter().for_each(|event| settings.evolve(event));
    settings
}

fn origin(n: u128) -> Origin {
    let request = RequestId::from_uuid(Uuid::from_u128(n));
    Origin { actor: "admin:ada".into(), reason: String::new(), request, at: NOW }
}

fn daily() -> Values {
    Values { stale_after: Duration::from_secs(24 * 3_600), ..Values::default() }
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
    assert_eq!(fresh.decide(&change(daily(), "r0", 1)), Ok(vec![changed(daily(), 1)]));
    let settings = given(&[changed(daily(), 1)]);
    assert_eq!((settings.changes(), settings.update_time()), (1, Some(NOW)));
}

#[test]
fn a_stale_etag_and_a_reused_request_are_refused_but_a_repeat_is_not() {
    let settings = given(&[changed(daily(), 1)]);
    assert_eq!(settings.decide(&change(daily(), "r0", 1)), Ok(vec![]));
    let stale = Error::EtagMismatch { expected: "r0".into(), found: "r1".into() };
    assert_eq!(settings.decide(&change(Values::default(), "r0", 2)), Err(stale));
    assert_eq!(settings.decide(&change(Values::default(), "", 1)), Err(Error::RequestReused));
}

#[test]
fn every_value_out_of_bounds_is_told() {
    let refused = |stale_after, drift_after| {
        let values = Values { stale_after: Duration::from_secs(stale_after), drift_after };
        match given(&[]).decide(&change(values, "", 1)) {
            Err(Error::OutOfBounds(problems)) => problems.iter().map(|problem| problem.field).collect(),
            _ => vec![],
        }
    };
    assert_eq!(refused(0, 0), ["stale_after", "drift_after"]);
    assert_eq!(refused(7_199, 1_001), ["stale_after", "drift_after"]);
    assert_eq!(refused(365 * 86_400 + 1, 1_000), ["stale_after"]);
    assert_eq!((refused(7_200, 1), refused(365 * 86_400, 1_000)), (vec![], vec![]));
}
