//! Clocks that are wrong, and clocks that are set.

use super::*;

const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The moment that much earlier.
fn before(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(now.micros() - i64::try_from(by.as_micros()).unwrap())
}

/// An onboarded device whose clock shows `now` when it is [`NOW`], with its first check-in under way.
fn checking_in_at(now: Timestamp) -> Core {
    let enrolled = Enrolled {
        certificate_begins_at: before(NOW, YEARS * 2),
        certificate_expires_at: NOW.plus(YEARS * 2),
        ..enrolled()
    };
    let mut core = Core::new(Memory { enrolled: Some(enrolled), ..Memory::default() }, true, 1, now);
    assert!(check_in(&give(&mut core, now, Input::Tick)).is_some());
    core
}

fn told(server_time: Timestamp, policy: Document) -> Input {
    Input::CheckedIn(Reply { policy: Some(Ok(policy)), server_time: Some(server_time), ..answer() })
}

#[test]
fn a_fresh_policy_is_obeyed_by_a_clock_that_is_years_off() {
    for now in [NOW.plus(YEARS), before(NOW, YEARS)] {
        let mut core = checking_in_at(now);
        let actions = work(give(&mut core, now, told(NOW, policy(3, 8))));
        assert!(matches!(actions[..], [Action::Apply { .. }]), "{actions:?}");
        assert!(core.skew().is_trouble());
        assert_eq!(core.skew().service(now), NOW);
    }
}

#[test]
fn an_old_policy_is_not_obeyed_by_a_clock_that_makes_it_fresh() {
    let old = Document { expires_at: before(NOW, DAY), issued_at: before(NOW, 8 * DAY), ..policy(3, 8) };
    let now = before(NOW, 4 * DAY);
    let mut core = checking_in_at(now);
    give(&mut core, now, told(NOW, old));
    assert_eq!(core.last_error(), Some(ErrorCode::PolicyExpired));
}

#[test]
fn without_the_service_s_time_the_device_s_clock_counts() {
    let now = NOW.plus(YEARS);
    let mut core = checking_in_at(now);
    give(&mut core, now, reply(Some(policy(3, 8))));
    assert_eq!(core.last_error(), Some(ErrorCode::PolicyExpired));
}

#[test]
fn a_certificate_is_renewed_at_half_its_life_by_the_service_s_time() {
    let (mut core, _) = in_force();
    let half = core.renews_at().unwrap();
    let now = NOW.plus(NEXT);
    give(&mut core, now, Input::Tick);
    let server_time = before(now, Duration::from_secs(3 * 60 * 60));
    give(&mut core, now, Input::CheckedIn(Reply { server_time: Some(server_time), ..answer() }));
    let moved = core.renews_at().unwrap().since(half);
    // A twentieth of seven days on either side.
    assert!(moved < Duration::from_secs(3 * 60 * 60) + DAY, "{moved:?}");
    assert_eq!(core.skew().apart(), Duration::from_secs(3 * 60 * 60));
}

#[test]
fn a_certificate_is_over_only_if_both_clocks_say_so() {
    for (now, skew, over) in [
        (NOW.plus(8 * DAY), Skew::default(), true),
        (NOW.plus(YEARS), Skew::between(NOW.plus(YEARS), NOW), false),
        // The clock was set right since.
        (NOW, Skew::between(before(NOW, YEARS), NOW), false),
    ] {
        let memory = Memory { enrolled: Some(enrolled()), skew, ..Memory::default() };
        let actions = work(give(&mut Core::new(memory, false, 1, now), now, Input::Tick));
        let stopped = actions == [Action::Stop(ErrorCode::CertificateInvalid)];
        assert_eq!(stopped, over, "{actions:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_puts_nothing_off() {
    let (mut core, _) = in_force();
    let earlier = before(NOW, YEARS);
    assert_eq!(check_in(&give(&mut core, earlier, Input::Tick)), None);
    assert!(check_in(&give(&mut core, earlier.plus(NEXT), Input::Tick)).is_some());
    assert_eq!(core.skew().service(earlier), NOW, "the service's time did not change");
}
