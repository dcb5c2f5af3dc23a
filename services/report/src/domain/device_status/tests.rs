use muster_types::{SettingValue, Timestamp};

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
    state.decide(&Command::Report { status: status.clone() })
}

#[test]
fn a_first_report_is_an_event_and_the_same_again_is_none() {
    let mut state = DeviceStatus::default();
    let said = status(vec![setting("p/a", SettingState::Succeeded)]);
    let events = report(&state, &said).unwrap();
    assert_eq!(events, [Event::Reported { status: said.clone() }]);
    state.evolve(&events[0]);
    assert_eq!(report(&state, &said), Ok(vec![]));
}

#[test]
fn another_apply_time_alone_is_no_change() {
    let mut state = DeviceStatus::default();
    let mut said = status(vec![]);
    state.evolve(&Event::Reported { status: said.clone() });
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
