//! Given past events, when a command, then new events or a refusal.

use muster_types::{DeviceId, HardwareKey, HardwareKeyKind, Timestamp};
use uuid::Uuid;

use super::{
    Certificate, Command, Error, Event, Kind, Proven, Registration, Removal, Resolution, Serial, Standing,
};

fn given(events: &[Event]) -> Registration {
    let mut registration = Registration::default();
    events.iter().for_each(|event| registration.evolve(event));
    registration
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A serial number issued at a moment.
fn serial(issued: u8) -> Serial {
    let mut bytes = [9; 16];
    bytes[..8].copy_from_slice(&u64::from(issued).to_be_bytes());
    Serial::from_slice(&bytes).expect("16 bytes")
}

fn certificate(issued: u8) -> Certificate {
    Certificate { key_digest: [1; 32], serial: serial(issued), not_after: at(99) }
}

fn proven(registration: &str) -> Proven {
    Proven { registration: registration.into(), join_type: "AzureAD".into() }
}

fn establish(issued: u8, proven: Option<Proven>) -> Command {
    Command::Establish {
        proven,
        spiffe_id: "spiffe://muster.local/x".into(),
        certificate: certificate(issued),
        hardware_keys: keys(),
    }
}

fn established(issued: u8, proven: Option<Proven>) -> Event {
    Event::TrustEstablished {
        proven,
        spiffe_id: "spiffe://muster.local/x".into(),
        certificate: certificate(issued),
        hardware_keys: keys(),
    }
}

fn keys() -> Vec<HardwareKey> {
    vec![HardwareKey { kind: HardwareKeyKind::Serial, digest: [5; 32] }]
}

fn renew(issued: u8) -> Command {
    Command::Renew { certificate: certificate(issued), proven: None }
}

fn renewed(issued: u8) -> Event {
    Event::TrustRenewed(certificate(issued))
}

fn deleted() -> Event {
    Event::RegistrationRemoved(Removal::Deleted)
}

fn revoked() -> Event {
    Event::TrustRevoked { reason: "stolen".into() }
}

fn revoke() -> Command {
    Command::Revoke { reason: "stolen".into() }
}

fn suspected() -> Event {
    Event::CloneSuspected { boot_ids: vec![[1; 16], [2; 16]] }
}

fn suspect(observed: i64) -> Command {
    Command::SuspectClone { boot_ids: vec![[1; 16], [2; 16]], observed: at(observed) }
}

fn resolve(resolution: Resolution) -> Command {
    Command::ResolveClone { resolution, now: at(50) }
}

fn resolved(resolution: Resolution) -> Event {
    Event::CloneResolved { resolution, at: at(50) }
}

fn standing(registration: &Registration) -> Option<Standing> {
    registration.registered().map(super::Registered::standing)
}

#[test]
fn a_device_that_no_directory_knows_gets_a_synthetic_registration() {
    assert_eq!(given(&[]).decide(&establish(1, None)), Ok(vec![established(1, None)]));
    let known = given(&[established(1, None)]);
    assert_eq!(known.registered().map(super::Registered::kind), Some(Kind::Synthetic));
}

#[test]
fn each_certificate_is_an_event_and_a_full_registration_stays() {
    let full = given(&[established(1, Some(proven("a")))]);
    assert_eq!(full.decide(&establish(2, None)), Ok(vec![established(2, Some(proven("a")))]));
    assert_eq!(full.decide(&establish(2, Some(proven("b")))), Ok(vec![established(2, Some(proven("b")))]));
}

#[test]
fn the_same_certificate_again_is_no_event() {
    assert_eq!(given(&[established(1, None)]).decide(&establish(1, None)), Ok(vec![]));
    assert_eq!(given(&[established(1, None), renewed(2)]).decide(&renew(2)), Ok(vec![]));
}

#[test]
fn a_certificate_is_renewed_over_the_present_one() {
    assert_eq!(given(&[established(1, None)]).decide(&renew(2)), Ok(vec![renewed(2)]));
}

#[test]
fn a_renewal_with_a_proof_promotes_first() {
    let synthetic = given(&[established(1, None)]);
    let command = Command::Renew { certificate: certificate(2), proven: Some(proven("a")) };
    let promoted = vec![Event::RegistrationPromoted(proven("a")), renewed(2)];
    assert_eq!(synthetic.decide(&command), Ok(promoted));
    let full = given(&[established(1, Some(proven("a")))]);
    assert_eq!(full.decide(&command), Ok(vec![renewed(2)]));
}

#[test]
fn nobody_renews_who_is_unknown_revoked_removed_or_quarantined() {
    assert_eq!(given(&[]).decide(&renew(2)), Err(Error::Unknown));
    for (event, refusal) in [
        (revoked(), Error::Revoked),
        (deleted(), Error::Removed(Removal::Deleted)),
        (suspected(), Error::Quarantined),
        (resolved(Resolution::Reissue), Error::Revoked),
    ] {
        let registration = given(&[established(1, None), event]);
        assert_eq!(registration.decide(&renew(2)), Err(refusal));
        let into = Command::MergeInto(DeviceId::from_uuid(Uuid::from_u128(7)));
        assert_eq!(registration.decide(&into), Err(refusal));
    }
}

#[test]
fn a_certificate_is_activated_once_and_never_after_a_newer_one() {
    let activate = |issued| Command::Activate { serial: serial(issued) };
    let renewed = given(&[established(1, None), renewed(2)]);
    assert_eq!(renewed.decide(&activate(2)), Ok(vec![Event::CertificateActivated(serial(2))]));
    let active = given(&[established(1, None), self::renewed(2), Event::CertificateActivated(serial(2))]);
    assert_eq!(active.decide(&activate(2)), Ok(vec![]));
    assert_eq!(active.decide(&activate(1)), Ok(vec![]));
    assert_eq!(given(&[]).decide(&activate(1)), Err(Error::Unknown));
    assert_eq!(given(&[established(1, None), revoked()]).decide(&activate(1)), Err(Error::Revoked));
    let gone = Err(Error::Removed(Removal::Deleted));
    assert_eq!(given(&[established(1, None), deleted()]).decide(&activate(1)), gone);
}

#[test]
fn trust_is_revoked_once_until_it_is_established_again() {
    assert_eq!(given(&[established(1, None)]).decide(&revoke()), Ok(vec![revoked()]));
    assert_eq!(given(&[established(1, None), revoked()]).decide(&revoke()), Ok(vec![]));
    assert_eq!(given(&[established(1, None), deleted()]).decide(&revoke()), Ok(vec![]));
    assert_eq!(given(&[]).decide(&revoke()), Err(Error::Unknown));
    let back = given(&[established(1, None), revoked(), established(2, None)]);
    assert_eq!(standing(&back), Some(Standing::Active));
    assert_eq!(back.decide(&revoke()), Ok(vec![revoked()]));
}

#[test]
fn a_reason_that_is_none_is_refused() {
    let registration = given(&[established(1, None)]);
    for reason in ["a\nb".to_owned(), "é".repeat(257)] {
        assert_eq!(registration.decide(&Command::Revoke { reason }), Err(Error::ReasonInvalid));
    }
    assert!(registration.decide(&Command::Revoke { reason: "é".repeat(256) }).is_ok());
}

#[test]
fn a_registration_is_promoted_once() {
    let promote = Command::Promote(proven("a"));
    let promoted = Event::RegistrationPromoted(proven("a"));
    let synthetic = given(&[established(1, None)]);
    assert_eq!(synthetic.decide(&promote), Ok(vec![promoted.clone()]));
    let full = given(&[established(1, None), promoted]);
    assert_eq!(full.decide(&promote), Ok(vec![]));
    assert_eq!(full.registered().map(super::Registered::kind), Some(Kind::Full));
    assert_eq!(given(&[]).decide(&promote), Err(Error::Unknown));
    let removed = given(&[established(1, None), deleted()]);
    assert_eq!(removed.decide(&promote), Err(Error::Removed(Removal::Deleted)));
}

#[test]
fn a_registration_is_removed_once_whatever_the_reason() {
    let into = DeviceId::from_uuid(Uuid::from_u128(7));
    for removal in [Removal::Deleted, Removal::Offboarded, Removal::Merged { into }] {
        let command = Command::Remove(removal);
        let registered = given(&[established(1, None)]);
        assert_eq!(registered.decide(&command), Ok(vec![Event::RegistrationRemoved(removal)]));
        assert_eq!(given(&[established(1, None), deleted()]).decide(&command), Ok(vec![]));
        assert_eq!(given(&[]).decide(&command), Err(Error::Unknown));
    }
}

#[test]
fn a_device_that_showed_to_be_another_ends() {
    let into = DeviceId::from_uuid(Uuid::from_u128(7));
    let merged = Event::RegistrationRemoved(Removal::Merged { into });
    assert_eq!(given(&[established(1, None)]).decide(&Command::MergeInto(into)), Ok(vec![merged]));
}

#[test]
fn a_removed_device_starts_anew_with_new_trust() {
    let removed = given(&[established(1, Some(proven("a"))), suspected(), deleted()]);
    assert_eq!(removed.decide(&establish(2, None)), Ok(vec![established(2, None)]));
    let back = given(&[established(1, Some(proven("a"))), suspected(), deleted(), established(2, None)]);
    assert_eq!(standing(&back), Some(Standing::Active));
    assert_eq!(back.registered().map(super::Registered::kind), Some(Kind::Synthetic));
    assert_eq!(back.decide(&renew(3)), Ok(vec![renewed(3)]));
}

#[test]
fn a_clone_is_suspected_once() {
    let registered = given(&[established(1, None)]);
    assert_eq!(registered.decide(&suspect(40)), Ok(vec![suspected()]));
    assert_eq!(given(&[established(1, None), suspected()]).decide(&suspect(41)), Ok(vec![]));
    assert_eq!(given(&[established(1, None), deleted()]).decide(&suspect(40)), Ok(vec![]));
    assert_eq!(given(&[]).decide(&suspect(40)), Err(Error::Unknown));
}

#[test]
fn what_was_seen_before_trust_was_established_anew_is_settled() {
    for end in [deleted(), revoked()] {
        let ended = given(&[established(1, None), suspected(), end.clone()]);
        assert_eq!(ended.decide(&suspect(40)), Ok(vec![]));
        let back = given(&[established(1, None), suspected(), end, established(30, None)]);
        assert_eq!(standing(&back), Some(Standing::Active));
        assert_eq!(back.decide(&suspect(30)), Ok(vec![]));
        assert_eq!(back.decide(&suspect(31)), Ok(vec![suspected()]));
    }
}

#[test]
fn what_was_seen_before_a_suspicion_was_resolved_is_settled() {
    let dismissed = given(&[established(1, None), suspected(), resolved(Resolution::Dismiss)]);
    assert_eq!(standing(&dismissed), Some(Standing::Active));
    assert_eq!(dismissed.decide(&suspect(50)), Ok(vec![]));
    assert_eq!(dismissed.decide(&suspect(51)), Ok(vec![suspected()]));
}

#[test]
fn a_suspicion_outlives_new_trust_and_only_an_admin_ends_it() {
    let onboarded_again = given(&[established(1, None), suspected(), established(2, None)]);
    assert_eq!(standing(&onboarded_again), Some(Standing::Quarantined));
    for resolution in [Resolution::Dismiss, Resolution::Reissue] {
        assert_eq!(onboarded_again.decide(&resolve(resolution)), Ok(vec![resolved(resolution)]));
    }
}

#[test]
fn a_suspicion_is_resolved_once() {
    for resolution in [Resolution::Dismiss, Resolution::Reissue] {
        let resolved = given(&[established(1, None), suspected(), resolved(resolution)]);
        assert_eq!(resolved.decide(&resolve(Resolution::Reissue)), Ok(vec![]));
    }
    assert_eq!(given(&[established(1, None)]).decide(&resolve(Resolution::Dismiss)), Ok(vec![]));
    assert_eq!(given(&[]).decide(&resolve(Resolution::Dismiss)), Err(Error::Unknown));
}

#[test]
fn whoever_is_to_be_reissued_must_onboard_again() {
    let reissued = given(&[established(1, None), suspected(), resolved(Resolution::Reissue)]);
    assert_eq!(standing(&reissued), Some(Standing::Revoked));
    let mut back = reissued;
    back.evolve(&established(2, None));
    assert_eq!(standing(&back), Some(Standing::Active));
}

#[test]
fn serial_numbers_are_padded_and_later_ones_are_greater() {
    assert_eq!(Serial::from_slice(&[1, 2]), Serial::from_slice(&[0, 0, 0, 1, 2]));
    assert_eq!(Serial::from_slice(&[1; 17]), None);
    assert!(serial(2) > serial(1));
    assert_eq!(serial(2).issued_at(), at(2));
    assert_eq!(Serial::from_slice(&[0x41; 16]).map(|old| old.issued_at()), Some(at(0)));
    assert_eq!(Serial::from_slice(&[0xab]).expect("one byte").to_string(), format!("{:030}ab", 0));
}
