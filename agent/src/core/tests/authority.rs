//! Who manages the device.

use super::super::authority::{QUARANTINE_CHECK_IN_MIN, TAKE_BACK_TRIES_MAX};
use super::super::message::{Authority, ManagedBy, Order, TakenBack};
use super::*;

const MDM: &str = "MANAGED_BY_MDM";

fn directed(directive: Directive) -> Input {
    Input::CheckedIn(Reply { directive, ..answer() })
}

fn stand_down() -> Directive {
    Directive::StandDown { code: MDM.into() }
}

fn order() -> Order {
    Order {
        tenant: TenantId::DEFAULT,
        device: device(1),
        issued_at: NOW,
        expires_at: NOW.plus(7 * DAY),
        key_id: "0123456789abcdef".into(),
        kept: vec!["linux-antivirus/scan_archives".parse().unwrap()],
        digest: [5; 32],
    }
}

fn all_taken_back() -> Input {
    Input::TakenBack(TakenBack::default())
}

fn failed_to_take_back() -> Input {
    let failed = vec![("p/a".parse().unwrap(), "it stands there still".to_owned())];
    Input::TakenBack(TakenBack { failed, ..TakenBack::default() })
}

/// A device with version 3 in force that checks in at that moment.
fn in_force_checking_in() -> (Core, Document, Timestamp) {
    let (mut core, policy) = in_force();
    let now = NOW.plus(NEXT);
    assert!(check_in(&give(&mut core, now, Input::Tick)).is_some());
    (core, policy, now)
}

/// A device that stood down, idle.
fn stood_down() -> (Core, Timestamp) {
    let (mut core, _, now) = in_force_checking_in();
    give(&mut core, now, directed(stand_down()));
    give(&mut core, now, all_taken_back());
    give(&mut core, now, Input::Reported);
    (core, now)
}

#[test]
fn standing_down_takes_back_what_was_enforced_and_goes_on_checking_in() {
    let (mut core, policy, now) = in_force_checking_in();
    let actions = work(give(&mut core, now, directed(stand_down())));
    let expected = Action::TakeBack { policy: Some(Arc::new(policy)), kept: Vec::new() };
    assert_eq!(actions, [expected]);
    assert_eq!(core.standing(), &Standing::StoodDown { code: MDM.into() });
    let actions = give(&mut core, now, all_taken_back());
    assert_eq!(report(&actions).unwrap().policy, None, "it says that nothing is in force");
    assert_eq!((core.applied(), core.apply_state()), (None, ApplyState::None));
    give(&mut core, now, Input::Reported);
    let later = now.plus(NEXT);
    let actions = give(&mut core, later, Input::Tick);
    assert_eq!(check_in(&actions).unwrap().applied, None);
    assert_eq!(work(give(&mut core, later, directed(stand_down()))), [], "once is enough");
}

#[test]
fn a_policy_that_comes_with_standing_down_is_not_looked_at() {
    let (mut core, _, now) = in_force_checking_in();
    let both = Reply { policy: Some(Ok(policy(4, 9))), directive: stand_down(), ..answer() };
    let actions = work(give(&mut core, now, Input::CheckedIn(both)));
    assert!(matches!(actions[..], [Action::TakeBack { .. }]), "{actions:?}");
}

#[test]
fn a_device_that_stood_down_resumes_when_a_policy_comes_but_never_an_older_one() {
    let (mut core, now) = stood_down();
    let later = now.plus(NEXT);
    give(&mut core, later, Input::Tick);
    assert_eq!(work(give(&mut core, later, reply(None))), []);
    assert_eq!(core.standing(), &Standing::StoodDown { code: MDM.into() });
    let later = later.plus(NEXT);
    give(&mut core, later, Input::Tick);
    give(&mut core, later, reply(Some(policy(2, 9))));
    assert_eq!(core.last_error(), Some(ErrorCode::PolicyRolledBack));
    give(&mut core, later, Input::Reported);
    let later = later.plus(NEXT);
    give(&mut core, later, Input::Tick);
    let actions = work(give(&mut core, later, reply(Some(policy(3, 8)))));
    assert!(matches!(actions[..], [Action::Apply { .. }]), "the same as before: {actions:?}");
    assert_eq!(core.standing(), &Standing::Enforcing);
}

#[test]
fn a_device_that_stood_down_applies_nothing_after_a_restart() {
    let memory = Memory {
        enrolled: Some(enrolled()),
        standing: Standing::StoodDown { code: MDM.into() },
        last_good: Some(policy(3, 8)),
        ..Memory::default()
    };
    let mut core = Core::new(memory, false, 1, NOW);
    let actions = work(give(&mut core, NOW, Input::Tick));
    assert!(matches!(actions[..], [Action::OpenWatch { .. }, Action::TakeBack { .. }]), "{actions:?}");
    let actions = work(give(&mut core, NOW, all_taken_back()));
    assert!(matches!(actions[..], [Action::Report { .. }]), "{actions:?}");
    let actions = give(&mut core, NOW, Input::Reported);
    let check_in = check_in(&actions).unwrap();
    assert_eq!((check_in.applied, check_in.received), (None, None));
}

#[test]
fn what_could_not_be_taken_back_is_tried_again() {
    let (mut core, _, now) = in_force_checking_in();
    give(&mut core, now, directed(stand_down()));
    give(&mut core, now, failed_to_take_back());
    assert_eq!(core.last_error(), Some(ErrorCode::ApplyFailed));
    give(&mut core, now, Input::Reported);
    let actions = work(give(&mut core, now.plus(Duration::from_secs(60)), Input::Tick));
    assert!(matches!(actions[..], [Action::TakeBack { .. }]), "{actions:?}");
}

#[test]
fn the_answer_to_the_facts_is_obeyed_at_once() {
    let told = |managed_by, code: &str| {
        let (mut core, _, now) = in_force_checking_in();
        give(&mut core, now, Input::CheckedIn(Reply { wants_facts: true, ..answer() }));
        let authority = Some(Authority { managed_by, code: code.into() });
        work(give(&mut core, now, Input::FactsReported { authority }))
    };
    for (managed_by, code) in [(ManagedBy::Mdm, MDM), (ManagedBy::Nobody, "OUT_OF_SCOPE")] {
        assert!(matches!(told(managed_by, code)[..], [Action::TakeBack { .. }]), "{code}");
    }
    assert_eq!(told(ManagedBy::Muster, "ENROLLED"), []);
    assert_eq!(told(ManagedBy::Nobody, "PENDING"), [], "it is on its way in");
}

#[test]
fn a_device_that_hears_it_is_managed_again_asks_for_its_policy() {
    let (mut core, now) = stood_down();
    let now = now.plus(SURVEY_INTERVAL);
    core.handle(now, Input::Tick);
    core.handle(now, Input::Surveyed { news: true });
    let authority = Some(Authority { managed_by: ManagedBy::Muster, code: "ENROLLED".into() });
    assert!(check_in(&give(&mut core, now, Input::FactsReported { authority })).is_some());
}

#[test]
fn a_quarantined_device_keeps_its_policy_and_asks_less_often() {
    let (mut core, _, now) = in_force_checking_in();
    let soon = Reply {
        policy: Some(Ok(policy(4, 9))),
        next_check_in: Duration::from_secs(60),
        directive: Directive::Quarantine,
        ..answer()
    };
    assert_eq!(work(give(&mut core, now, Input::CheckedIn(soon))), []);
    assert_eq!(core.standing(), &Standing::Quarantined);
    assert_eq!(core.applied().map(|(_, version, _)| version), Some(3));
    let before = now.plus(QUARANTINE_CHECK_IN_MIN - Duration::from_secs(1));
    assert_eq!(work(give(&mut core, before, Input::Tick)), []);
    let later = now.plus(QUARANTINE_CHECK_IN_MIN);
    assert!(check_in(&give(&mut core, later, Input::Tick)).is_some());
    give(&mut core, later, reply(None));
    assert_eq!(core.standing(), &Standing::Enforcing);
}

#[test]
fn an_order_is_carried_out_confirmed_and_then_all_is_forgotten() {
    let (mut core, policy, now) = in_force_checking_in();
    let kept = order().kept;
    let actions = work(give(&mut core, now, directed(Directive::Decommission(Ok(order())))));
    assert_eq!(actions, [Action::TakeBack { policy: Some(Arc::new(policy)), kept: kept.clone() }]);
    let taken_back = TakenBack { kept: kept.clone(), ..TakenBack::default() };
    let actions = work(give(&mut core, now, Input::TakenBack(taken_back.clone())));
    let offboarding = Offboarding { order: [5; 32], kept, outcome: Some(taken_back) };
    assert_eq!(actions, [Action::Confirm(offboarding.clone())]);
    assert_eq!(core.standing(), &Standing::Offboarding(offboarding));
    assert_eq!(give(&mut core, now, Input::OffboardingConfirmed), [Action::Retire]);
    assert_eq!(give(&mut core, now.plus(DAY), Input::Tick), []);
}

#[test]
fn an_order_for_another_device_or_out_of_time_is_refused_and_reported() {
    let unsigned = Refusal { code: ErrorCode::OrderRefused, message: "unsigned".into(), etag: None };
    let orders = [
        Ok(Order { device: device(2), ..order() }),
        Ok(Order { tenant: "other".parse().unwrap(), ..order() }),
        Ok(Order { expires_at: NOW, ..order() }),
        Err(unsigned),
    ];
    for order in orders {
        let (mut core, _, now) = in_force_checking_in();
        let decommission = Directive::Decommission(order.clone());
        let actions = give(&mut core, now, directed(decommission.clone()));
        assert_eq!(report(&actions).unwrap().refused, Some(ErrorCode::OrderRefused), "{order:?}");
        assert_eq!(core.standing(), &Standing::Enforcing);
        assert_eq!(core.applied().map(|(_, version, _)| version), Some(3));
        give(&mut core, now, Input::Reported);
        let now = now.plus(NEXT);
        give(&mut core, now, Input::Tick);
        assert_eq!(work(give(&mut core, now, directed(decommission))), [], "it is known");
        let now = now.plus(NEXT);
        give(&mut core, now, Input::Tick);
        assert_eq!(report(&give(&mut core, now, reply(None))).unwrap().refused, None, "it is over");
    }
}

#[test]
fn a_lost_answer_to_the_confirmation_is_asked_for_again() {
    let outcome = Some(TakenBack::default());
    let offboarding = Offboarding { order: [5; 32], kept: Vec::new(), outcome };
    let memory = Memory {
        enrolled: Some(enrolled()),
        standing: Standing::Offboarding(offboarding.clone()),
        last_good: Some(policy(3, 8)),
        ..Memory::default()
    };
    let confirming = || {
        let mut core = Core::new(memory.clone(), true, 1, NOW);
        let actions = work(give(&mut core, NOW, Input::Tick));
        assert_eq!(actions, [Action::Confirm(offboarding.clone())], "and nothing is applied");
        core
    };
    let mut core = confirming();
    assert_eq!(work(give(&mut core, NOW, Input::Failed(ErrorCode::ServerUnreachable))), []);
    let later = NOW.plus(Duration::from_secs(60));
    assert_eq!(work(give(&mut core, later, Input::Tick)), [Action::Confirm(offboarding.clone())]);
    // The first one arrived: its trust ended with it.
    for code in [ErrorCode::CertificateRevoked, ErrorCode::DeviceDeleted, ErrorCode::DeviceUnknown] {
        assert_eq!(give(&mut confirming(), NOW, Input::Failed(code)), [Action::Retire], "{code}");
    }
    // Another order stands by now.
    let mut core = confirming();
    assert!(check_in(&give(&mut core, NOW, Input::Failed(ErrorCode::OrderRefused))).is_some());
    let actions = work(give(&mut core, NOW, directed(Directive::Decommission(Ok(order())))));
    assert!(matches!(&actions[..], [Action::TakeBack { kept, .. }] if kept.is_empty()), "{actions:?}");
}

#[test]
fn what_cannot_be_taken_back_is_confirmed_as_such_in_the_end() {
    let (mut core, _, mut now) = in_force_checking_in();
    give(&mut core, now, directed(Directive::Decommission(Ok(order()))));
    for _ in 1..TAKE_BACK_TRIES_MAX {
        assert_eq!(work(give(&mut core, now, failed_to_take_back())), []);
        now = now.plus(Duration::from_secs(60 * 60));
        let actions = work(give(&mut core, now, Input::Tick));
        assert!(matches!(actions[..], [Action::TakeBack { .. }]), "{actions:?}");
    }
    let actions = work(give(&mut core, now, failed_to_take_back()));
    let Some(Action::Confirm(Offboarding { outcome: Some(outcome), .. })) = actions.first() else {
        panic!("{actions:?}")
    };
    assert_eq!(outcome.failed.len(), 1);
}
