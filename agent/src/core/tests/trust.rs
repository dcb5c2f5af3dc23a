//! Coming in and keeping the trust.

use super::*;

/// The middle of the certificate's life, and the widest that renewals are spread around it.
fn half_life() -> (Timestamp, Timestamp) {
    let life = 7 * DAY;
    (NOW.plus(life * 45 / 100), NOW.plus(life * 55 / 100))
}

fn renewed_certificate() -> Enrolled {
    let (_, latest) = half_life();
    Enrolled { certificate_begins_at: latest, certificate_expires_at: latest.plus(7 * DAY), ..enrolled() }
}

/// An idle device with version 3 in force whose renewal is due, and when that is.
fn at_half_life() -> (Core, Timestamp) {
    let (mut core, _) = in_force();
    let (_, latest) = half_life();
    let actions = work(give(&mut core, latest, Input::Tick));
    assert!(matches!(actions[..], [Action::CheckIn(_)]), "{actions:?}");
    (core, latest)
}

#[test]
fn a_certificate_is_renewed_at_half_life_each_device_at_another_moment() {
    let (earliest, latest) = half_life();
    let memory = || Memory { enrolled: Some(enrolled()), ..Memory::default() };
    let moments: Vec<_> =
        (0..50).map(|seed| Core::new(memory(), false, seed, NOW).renews_at().unwrap()).collect();
    assert!(moments.iter().all(|at| (earliest..latest).contains(at)), "{moments:?}");
    assert!(moments.iter().any(|at| *at != moments[0]));

    let (mut core, now) = at_half_life();
    let actions = work(give(&mut core, now, reply(None)));
    assert_eq!(actions, [Action::Renew { with_proof: false }]);
    let expires_at = now.plus(7 * DAY);
    assert_eq!(work(give(&mut core, now, Input::Renewed { expires_at })), [Action::Activate]);
    let actions = work(give(&mut core, now, Input::Activated(renewed_certificate())));
    assert!(matches!(actions[..], [Action::OpenWatch { .. }]), "the old watch ends with it: {actions:?}");
    assert_eq!(core.enrolled(), Some(&renewed_certificate()));
    assert!(core.renews_at().unwrap() > now.plus(3 * DAY));
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_holds_nothing_up() {
    let (mut core, now) = at_half_life();
    give(&mut core, now, reply(None));
    for code in [ErrorCode::ServerUnreachable, ErrorCode::DeviceQuarantined] {
        assert_eq!(work(give(&mut core, now, Input::Failed(code))), []);
        assert!(check_in(&give(&mut core, now, hint(&policy(4, 9)))).is_some(), "{code}");
        let again = now.plus(Duration::from_secs(60 * 60));
        give(&mut core, now, reply(None));
        assert_eq!(work(core.handle(again, Input::Tick)), [Action::Renew { with_proof: false }], "{code}");
    }
}

#[test]
fn the_server_may_want_a_renewal_before_its_time() {
    let mut core = checking_in();
    let wanted = Input::CheckedIn(Reply { wants_renewal: true, ..answer() });
    assert_eq!(work(give(&mut core, NOW, wanted)), [Action::Renew { with_proof: false }]);
}

#[test]
fn a_new_certificate_kept_from_the_last_run_is_used_first() {
    let memory = Memory { enrolled: Some(enrolled()), next: Some(NOW.plus(7 * DAY)), ..Memory::default() };
    let mut core = Core::new(memory, false, 1, NOW);
    let actions = work(give(&mut core, NOW, Input::Tick));
    assert!(matches!(actions[..], [Action::OpenWatch { .. }, Action::Activate]), "{actions:?}");
    // Its activation may wait; the present one is good until then.
    assert!(check_in(&give(&mut core, NOW, Input::Failed(ErrorCode::ServerUnreachable))).is_some());
}

#[test]
fn a_lost_answer_to_the_activation_is_found_out_by_the_old_certificate_being_refused() {
    for code in [ErrorCode::CertificateRevoked, ErrorCode::CertificateInvalid] {
        let memory =
            Memory { enrolled: Some(enrolled()), next: Some(NOW.plus(7 * DAY)), ..Memory::default() };
        // Without a token: all would be over if the new one were overlooked.
        let mut core = Core::new(memory, false, 1, NOW);
        give(&mut core, NOW, Input::Tick);
        give(&mut core, NOW, Input::Failed(ErrorCode::DeadlineExceeded));
        let actions = work(give(&mut core, NOW, Input::Failed(code)));
        assert_eq!(actions, [Action::Activate], "{code}");
        give(&mut core, NOW, Input::Activated(renewed_certificate()));
        assert!(check_in(&give(&mut core, NOW.plus(DAY), Input::Tick)).is_some(), "{code}");
    }
}

#[test]
fn a_new_certificate_that_was_ended_is_dropped_and_another_one_got() {
    let memory = Memory { enrolled: Some(enrolled()), next: Some(NOW.plus(7 * DAY)), ..Memory::default() };
    let mut core = Core::new(memory, false, 1, NOW);
    give(&mut core, NOW, Input::Tick);
    let actions = work(give(&mut core, NOW, Input::Failed(ErrorCode::CertificateRevoked)));
    assert!(matches!(actions[..], [Action::DropNext, Action::CheckIn(_)]), "{actions:?}");
    give(&mut core, NOW, reply(None));
    let later = NOW.plus(Duration::from_secs(60 * 60));
    assert_eq!(work(give(&mut core, later, Input::Tick)), [Action::Renew { with_proof: false }]);
}

#[test]
fn an_expired_certificate_does_not_matter_while_the_new_one_is_good() {
    let memory = Memory { enrolled: Some(enrolled()), next: Some(NOW.plus(9 * DAY)), ..Memory::default() };
    let later = NOW.plus(8 * DAY);
    let mut core = Core::new(memory, false, 1, later);
    let actions = work(give(&mut core, later, Input::Tick));
    assert!(matches!(actions[..], [Action::OpenWatch { .. }, Action::Activate]), "{actions:?}");
    // Nothing else is tried with one that is over.
    assert_eq!(work(give(&mut core, later, Input::Failed(ErrorCode::ServerUnreachable))), []);
}

#[test]
fn a_revoked_certificate_onboards_again_with_a_new_key_or_stops() {
    for code in [ErrorCode::CertificateRevoked, ErrorCode::DeviceDeleted] {
        let actions = work(give(&mut checking_in(), NOW, Input::Failed(code)));
        assert_eq!(actions, [Action::DropIdentity, Action::Onboard], "{code}");
        let memory = Memory { enrolled: Some(enrolled()), ..Memory::default() };
        let mut core = Core::new(memory, false, 1, NOW);
        give(&mut core, NOW, Input::Tick);
        assert_eq!(give(&mut core, NOW, Input::Failed(code)), [Action::Stop(code)]);
    }
}

#[test]
fn a_watch_that_is_refused_for_ended_trust_is_looked_into_at_once() {
    for code in [ErrorCode::CertificateRevoked, ErrorCode::DeviceDeleted] {
        let (mut core, _) = in_force();
        assert!(
            check_in(&give(&mut core, NOW, Input::WatchClosed(Closed::Failed(code)))).is_some(),
            "{code}"
        );
    }
    let (mut core, _) = in_force();
    let lost = Input::WatchClosed(Closed::Failed(ErrorCode::ServerUnreachable));
    assert_eq!(work(give(&mut core, NOW, lost)), []);
}

#[test]
fn a_device_that_stays_deleted_stops_and_tells() {
    let mut core = checking_in();
    give(&mut core, NOW, Input::Failed(ErrorCode::DeviceDeleted));
    let actions = give(&mut core, NOW, Input::Failed(ErrorCode::DeviceDeleted));
    assert_eq!(actions, [Action::Stop(ErrorCode::DeviceDeleted)]);
}

#[test]
fn a_device_revoked_right_after_onboarding_takes_its_time() {
    let mut core = checking_in();
    give(&mut core, NOW, Input::Failed(ErrorCode::CertificateRevoked));
    give(&mut core, NOW, Input::Onboarded(enrolled()));
    let actions = work(give(&mut core, NOW, Input::Failed(ErrorCode::CertificateRevoked)));
    assert_eq!(actions, [Action::DropIdentity], "it would burn one use of its token after the other");
    let later = NOW.plus(Duration::from_secs(60 * 60));
    assert_eq!(work(give(&mut core, later, Input::Tick)), [Action::Onboard]);
}

#[test]
fn a_device_that_may_not_be_enrolled_asks_again_when_it_is_told_to() {
    for (retry_after, base) in [(Some(Duration::from_secs(40)), 40), (None, 15 * 60)] {
        let mut core = Core::new(Memory::default(), true, 1, NOW);
        give(&mut core, NOW, Input::Tick);
        assert_eq!(work(give(&mut core, NOW, Input::EnrollmentRefused { retry_after })), []);
        assert_eq!(core.last_error(), Some(ErrorCode::EnrollmentRefused));
        let after = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(work(give(&mut core, after(base - 1), Input::Tick)), []);
        assert_eq!(core.last_error(), Some(ErrorCode::EnrollmentRefused), "a survey does not make it good");
        assert_eq!(work(give(&mut core, after(base + base / 4), Input::Tick)), [Action::Onboard]);
    }
}

#[test]
fn a_device_that_may_not_be_enrolled_asks_at_once_when_it_changed() {
    let mut core = Core::new(Memory::default(), true, 1, NOW);
    give(&mut core, NOW, Input::Tick);
    give(&mut core, NOW, Input::EnrollmentRefused { retry_after: None });
    let later = NOW.plus(Duration::from_secs(60));
    assert_eq!(work(core.handle(later, Input::Tick)), [Action::Survey]);
    assert_eq!(work(core.handle(later, Input::Surveyed { news: false })), []);
    let later = later.plus(Duration::from_secs(60));
    assert_eq!(work(core.handle(later, Input::Tick)), [Action::Survey]);
    assert_eq!(work(core.handle(later, Input::Surveyed { news: true })), [Action::Onboard]);
    assert!(check_in(&give(&mut core, later, Input::Onboarded(enrolled()))).is_some());
}

#[test]
fn a_proof_that_appears_is_shown_at_once_and_only_once() {
    let (mut core, _) = in_force();
    let actions = work(give(&mut core, NOW, Input::ProofAppeared));
    assert_eq!(actions, [Action::Renew { with_proof: true }]);
    give(&mut core, NOW, Input::Renewed { expires_at: NOW.plus(7 * DAY) });
    let promoted = Enrolled { certificate_expires_at: NOW.plus(7 * DAY), ..enrolled() };
    give(&mut core, NOW, Input::Activated(promoted));
    let wanted = Input::CheckedIn(Reply { wants_renewal: true, ..answer() });
    give(&mut core, NOW.plus(NEXT), Input::Tick);
    let actions = work(give(&mut core, NOW.plus(NEXT), wanted));
    assert_eq!(actions, [Action::Renew { with_proof: false }]);
}

#[test]
fn a_proof_that_does_not_hold_is_not_shown_again_and_the_certificate_is_renewed_in_its_time() {
    for code in [ErrorCode::ProofInvalid, ErrorCode::TenantMismatch] {
        let (mut core, _) = in_force();
        give(&mut core, NOW, Input::ProofAppeared);
        assert_eq!(work(give(&mut core, NOW, Input::Failed(code))), []);
        assert_eq!(core.last_error(), Some(code));
        let (earliest, latest) = half_life();
        assert!((earliest..latest).contains(&core.renews_at().unwrap()), "{code}");
        assert_eq!(
            work(give(&mut core, NOW, Input::ProofAppeared)),
            [Action::Renew { with_proof: true }],
            "another one is shown"
        );
    }
}

#[test]
fn a_proof_that_appears_while_a_new_certificate_waits_is_shown_after_it() {
    let (mut core, now) = at_half_life();
    give(&mut core, now, reply(None));
    give(&mut core, now, Input::Renewed { expires_at: now.plus(7 * DAY) });
    assert_eq!(work(give(&mut core, now, Input::ProofAppeared)), []);
    let actions = work(give(&mut core, now, Input::Activated(renewed_certificate())));
    assert!(
        matches!(actions[..], [Action::OpenWatch { .. }, Action::Renew { with_proof: true }]),
        "{actions:?}"
    );
}

#[test]
fn a_device_that_turns_out_to_be_another_one_starts_anew_as_that() {
    let (mut core, _) = in_force();
    give(&mut core, NOW, Input::ProofAppeared);
    give(&mut core, NOW, Input::Renewed { expires_at: NOW.plus(7 * DAY) });
    let other = Enrolled { device: device(2), ..enrolled() };
    let actions = work(give(&mut core, NOW, Input::Activated(other)));
    let check_in = check_in(&actions).unwrap();
    assert_eq!((check_in.applied, check_in.received), (None, None), "its policy was the other's");
    let mine = Document { device: device(2), ..policy(1, 9) };
    let actions = work(give(&mut core, NOW, reply(Some(mine))));
    assert!(matches!(actions[..], [Action::Apply { .. }]), "a lower version, of another device: {actions:?}");
}

#[test]
fn what_the_services_do_not_know_is_told_before_the_check_in() {
    let (mut core, _) = in_force();
    let now = NOW.plus(NEXT);
    assert_eq!(work(core.handle(now, Input::Tick)), [Action::Survey]);
    assert_eq!(work(core.handle(now, Input::Surveyed { news: true })), [Action::ReportFacts]);
    // A report that fails does not hold it up.
    assert!(check_in(&core.handle(now, Input::Failed(ErrorCode::ServerUnreachable))).is_some());
}

#[test]
fn the_machine_is_surveyed_between_check_ins_too() {
    let (mut core, _) = in_force();
    let now = NOW.plus(SURVEY_INTERVAL);
    assert_eq!(work(core.handle(now, Input::Tick)), [Action::Survey]);
    assert_eq!(work(core.handle(now, Input::Surveyed { news: true })), [Action::ReportFacts]);
}
