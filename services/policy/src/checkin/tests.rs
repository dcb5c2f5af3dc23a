use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn device(n: u8) -> DeviceId {
    DeviceId::from_uuid(muster_types::id::derive("test", &[&[n]]))
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

fn call(n: u8, sequence: u64) -> Call {
    Call { device: device(n), sequence, watched: false, now: now() }
}

fn minutes(call: Call) -> u64 {
    next_check_in(call, &Values::default()).as_secs() / 60
}

#[test]
fn new_devices_check_in_every_3_minutes_then_every_15() {
    for n in 0..50 {
        assert!((2..=3).contains(&minutes(call(n, 1))) && (2..=3).contains(&minutes(call(n, 5))));
        assert!((13..=16).contains(&minutes(call(n, 6))) && (13..=16).contains(&minutes(call(n, 13))));
        assert!(minutes(call(n, 14)) >= 9);
    }
}

#[test]
fn a_device_comes_every_90_minutes_at_a_time_of_its_own() {
    for n in 0..50 {
        let settings = Values::default();
        let first = next_check_in(call(n, 100), &settings);
        assert!(first >= settings.interval / 10 && first <= settings.interval.mul_f64(1.1), "{first:?}");
        // A little late, as the network has it.
        let then = now().plus(first + Duration::from_millis(30));
        let next = next_check_in(Call { now: then, ..call(n, 101) }, &settings);
        assert!(settings.interval.abs_diff(next) < Duration::from_millis(31), "{next:?}");
    }
}

#[test]
fn devices_that_come_back_together_are_spread_evenly_over_the_pause() {
    let mut tenths = [0; 11];
    for n in 0..=255 {
        let next = next_check_in(call(n, 100), &Values::default());
        tenths[usize::try_from(next.as_secs() / (9 * 60)).unwrap()] += 1;
    }
    assert_eq!(tenths[0], 0);
    assert!(tenths[1..].iter().all(|count| (10..50).contains(count)), "{tenths:?}");
}

#[test]
fn a_device_that_watches_comes_less_often() {
    let times = (0..100).map(|n| minutes(Call { watched: true, ..call(n, 100) }));
    let (least, most) = times.fold((u64::MAX, 0), |(least, most), at| (least.min(at), most.max(at)));
    assert!((36..60).contains(&least) && (350..=396).contains(&most), "{least} {most}");
    assert!(minutes(Call { watched: true, ..call(1, 1) }) <= 3, "new ones too");
}

#[test]
fn a_tenant_says_how_often() {
    let settings = Values { interval: 8 * HOUR, first_count: 0, second_count: 0, ..Values::default() };
    assert!(next_check_in(call(1, 1), &settings) >= 8 * HOUR / 10);
    let short = Values { policy_life: 24 * HOUR, ..settings };
    for n in 0..50 {
        assert!(next_check_in(call(n, 1), &short) < 6 * HOUR, "a policy must not end in between");
    }
}

#[test]
fn a_certificate_is_wanted_anew_after_two_thirds_of_its_life() {
    let at = |day: u64| Timestamp::from_micros(1).plus(Duration::from_secs(day * 24 * 3600));
    assert!(!renewal_due(at(0), at(9), at(6)));
    assert!(renewal_due(at(0), at(9), at(7)));
    assert!(renewal_due(at(0), at(9), at(10)));
    assert!(!renewal_due(Timestamp::default(), at(9), at(8)), "not told when it was issued");
}

#[test]
fn devices_are_spread_evenly() {
    let low = (0..=255).filter(|n| share(device(*n)) < 0.5).count();
    assert!((90..166).contains(&low), "{low} of 256 in the lower half");
}

#[test]
fn a_policy_is_signed_anew_once_in_each_quarter_of_its_life() {
    let life = 7 * 24 * HOUR;
    for n in 0..50 {
        let signed = minute(now());
        let turn = |after: Duration| renewal_turn(device(n), signed, now().plus(after), life);
        assert!(!turn(Duration::ZERO) && turn(life / 4));
        let first = (0..=42).find(|hours| turn(*hours * HOUR)).unwrap();
        assert!(renewal_turn(
            device(n),
            minute(now().plus(first * HOUR)),
            now().plus((first + 42) * HOUR),
            life
        ));
    }
}

#[test]
fn no_policy_outlives_half_of_its_life_whatever_a_tenant_says() {
    for life in [24 * HOUR, 7 * 24 * HOUR, 90 * 24 * HOUR] {
        let settings = Values {
            policy_life: life,
            interval: 24 * HOUR,
            watched_interval: 24 * HOUR,
            ..Values::default()
        };
        for n in 0..50 {
            let (mut at, mut signed) = (now(), now());
            for sequence in 100..200 {
                let call = Call { device: device(n), sequence, watched: sequence % 2 == 0, now: at };
                at = at.plus(next_check_in(call, &settings));
                assert!(at.since(signed) < life / 2, "{:?} of {life:?}", at.since(signed));
                if renewal_turn(device(n), minute(signed), at, life) {
                    signed = at;
                }
            }
        }
    }
}

#[test]
fn a_longer_life_does_not_put_renewals_off_for_ever() {
    let (short, long) = (24 * HOUR, 90 * 24 * HOUR);
    assert!(!renewal_turn(device(1), minute(now()), now(), short));
    assert!(renewal_turn(device(1), minute(now()), now().plus(long / 4), long));
}
