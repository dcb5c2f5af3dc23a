use muster_types::{Digest, SettingId, SettingValue, Timestamp};
use proptest::prelude::*;

use super::*;

fn setting(id: &str, state: SettingState) -> SettingStatus {
    SettingStatus {
        id: id.parse().unwrap(),
        desired: Some(SettingValue::Boolean(true)),
        observed: None,
        state,
        reason: String::new(),
        message: String::new(),
        corrections: 0,
    }
}

fn status(settings: Vec<SettingStatus>) -> Status {
    Status {
        policy_etag: [7; 32],
        policy_version: 3,
        apply_time: None,
        settings,
        refused_reason: String::new(),
    }
}

fn report(state: &DeviceStatus, status: &Status) -> Result<Vec<Event>, Error> {
    state.decide(&Command::Report { said: status.clone().into(), drift_after: 3 })
}

#[test]
fn a_first_report_is_an_event_and_the_same_again_is_none() {
    let mut state = DeviceStatus::default();
    let said = status(vec![setting("p/a", SettingState::Succeeded)]);
    let events = report(&state, &said).unwrap();
    assert_eq!(events, [Event::Reported { said: said.clone().into() }]);
    state.evolve(&events[0]);
    assert_eq!(report(&state, &said), Ok(vec![]));
}

#[test]
fn another_apply_time_alone_is_no_change() {
    let mut state = DeviceStatus::default();
    let mut said = status(vec![]);
    state.evolve(&Event::Reported { said: said.clone().into() });
    said.apply_time = Some(Timestamp::from_micros(1));
    assert_eq!(report(&state, &said), Ok(vec![]));
    said.policy_version = 4;
    assert_eq!(report(&state, &said).map(|events| events.len()), Ok(1));
}

#[test]
fn a_report_out_of_bounds_is_refused_with_its_field() {
    let field = |status: &Status| report(&DeviceStatus::default(), status).unwrap_err().field;
    let unsorted = [setting("p/b", SettingState::Error), setting("p/a", SettingState::Error)];
    assert_eq!(field(&status(unsorted.to_vec())), "settings[1].id");
    let twice = [setting("p/a", SettingState::Error), setting("p/a", SettingState::Error)];
    assert_eq!(field(&status(twice.to_vec())), "settings[1].id");
    let mut long = setting("p/a", SettingState::Error);
    long.message = "x".repeat(MESSAGE_BYTES_MAX + 1);
    assert_eq!(field(&status(vec![long])), "settings[0].message");
    let many = (0..=SETTINGS_MAX).map(|n| setting(&format!("p/s{n:05}"), SettingState::Succeeded));
    assert_eq!(field(&status(many.collect())), "settings");
}

#[test]
fn the_verdict_is_the_gravest_of_the_settings() {
    use SettingState::{Conflict, Error, NotApplicable, Pending, Succeeded};
    let verdict = |states: &[SettingState]| {
        let settings = (0..).zip(states).map(|(n, state)| setting(&format!("p/s{n}"), *state));
        status(settings.collect()).verdict()
    };
    assert_eq!(verdict(&[]), CheckIn::Succeeded);
    assert_eq!(verdict(&[Succeeded, NotApplicable]), CheckIn::Succeeded);
    assert_eq!(verdict(&[NotApplicable, NotApplicable]), CheckIn::NotApplicable);
    assert_eq!(verdict(&[Pending, Succeeded]), CheckIn::Pending);
    assert_eq!(verdict(&[Pending, Conflict]), CheckIn::Conflict);
    assert_eq!(verdict(&[Error, Conflict, Pending]), CheckIn::Error);
}

#[test]
fn a_setting_the_device_does_not_speak_of_is_pending() {
    let said = status(vec![setting("p/a", SettingState::Succeeded)]);
    let ids = ["p/a".parse().unwrap(), "p/b".parse().unwrap()];
    assert_eq!(said.verdict_on(&ids[..1]), CheckIn::Succeeded);
    assert_eq!(said.verdict_on(&ids), CheckIn::Pending);
}

#[test]
fn a_refused_policy_is_an_error() {
    let mut said = status(vec![]);
    said.refused_reason = "POLICY_EXPIRED".to_owned();
    assert_eq!(said.verdict(), CheckIn::Error);
}

fn put_back(id: &str, corrections: u32) -> SettingStatus {
    SettingStatus { corrections, ..setting(id, SettingState::Succeeded) }
}

fn given(events: &[Event]) -> DeviceStatus {
    let mut state = DeviceStatus::default();
    events.iter().for_each(|event| state.evolve(event));
    state
}

fn suspected(id: &str, corrections: u32, etag: u8) -> Event {
    Event::DriftSuspected { setting: id.parse().unwrap(), corrections, policy_etag: [etag; 32] }
}

#[test]
fn a_setting_that_is_put_back_too_often_is_suspected_once_with_the_report_that_shows_it() {
    let twice = status(vec![put_back("p/a", 2), put_back("p/b", 3)]);
    let events = report(&DeviceStatus::default(), &twice).unwrap();
    assert_eq!(events, [Event::Reported { said: twice.into() }, suspected("p/b", 3, 7)]);
    let state = given(&events);
    let more = status(vec![put_back("p/a", 4), put_back("p/b", 9)]);
    let events = report(&state, &more).unwrap();
    assert_eq!(events, [Event::Reported { said: more.clone().into() }, suspected("p/a", 4, 7)]);
    let mut state = state;
    events.iter().for_each(|event| state.evolve(event));
    assert_eq!(report(&state, &more), Ok(vec![]));
    let other = Status { policy_etag: [8; 32], ..more };
    assert_eq!(report(&state, &other).unwrap()[1..], [suspected("p/a", 4, 8), suspected("p/b", 9, 8)]);
}

#[test]
fn a_report_of_ten_thousand_settings_that_drift_is_taken_in_and_the_rest_is_suspected_with_the_next() {
    let said = status((0..SETTINGS_MAX).map(|n| put_back(&format!("p/s{n:05}"), 5)).collect());
    let events = report(&DeviceStatus::default(), &said).unwrap();
    assert_eq!(events.len(), 1 + SUSPICIONS_PER_REPORT_MAX);
    assert_eq!(report(&given(&events), &said).unwrap().len(), SUSPICIONS_PER_REPORT_MAX);
}

#[test]
fn a_device_goes_stale_once_and_returns_once() {
    let at = Timestamp::from_micros;
    let (go, back) = (Command::GoStale { last_seen: at(5) }, Command::Return { seen: at(9) });
    let fresh = DeviceStatus::default();
    assert_eq!(fresh.decide(&back), Ok(vec![]));
    assert_eq!(fresh.decide(&go), Ok(vec![Event::WentStale { last_seen: at(5) }]));
    let stale = given(&[Event::WentStale { last_seen: at(5) }]);
    assert_eq!(stale.decide(&go), Ok(vec![]));
    assert_eq!(stale.decide(&Command::Return { seen: at(5) }), Ok(vec![]), "that was before");
    assert_eq!(stale.decide(&back), Ok(vec![Event::Returned { seen: at(9) }]));
    let returned = given(&[Event::WentStale { last_seen: at(5) }, Event::Returned { seen: at(9) }]);
    assert_eq!(returned.decide(&back), Ok(vec![]));
    assert!(!returned.is_stale());
}

proptest! {
    /// Whatever is reported in whatever order: under one policy, no setting is suspected twice, and none is that was not
    /// put back so often.
    #[test]
    fn no_setting_is_suspected_twice_under_one_policy(
        reports in prop::collection::vec((0_u8..3, prop::collection::vec(0_u32..6, 1..4)), 0..40),
        drift_after in 0_u32..5,
    ) {
        let (mut state, mut under) = (DeviceStatus::default(), None::<(Digest, Vec<SettingId>)>);
        for (etag, corrections) in reports {
            let settings = (0..).zip(corrections).map(|(n, corrections)| put_back(&format!("p/s{n}"), corrections));
            let said = Status { policy_etag: [etag; 32], ..status(settings.collect()) };
            if under.as_ref().is_none_or(|(before, _)| *before != said.policy_etag) {
                under = Some((said.policy_etag, vec![]));
            }
            for event in state.decide(&Command::Report { said: said.clone().into(), drift_after }).unwrap() {
                state.evolve(&event);
                if let (Event::DriftSuspected { setting, corrections, policy_etag }, Some((etag, told))) = (event, &mut under) {
                    prop_assert_eq!(policy_etag, *etag);
                    prop_assert!(corrections >= drift_after.max(1));
                    prop_assert!(!told.contains(&setting));
                    told.push(setting);
                }
            }
            let all = said.settings.iter().filter(|setting| setting.corrections >= drift_after.max(1));
            for drifting in all {
                prop_assert!(under.as_ref().is_some_and(|(_, told)| told.contains(&drifting.id)));
            }
        }
    }
}
