//! Given past events, when a command, then new events or a refusal.

use muster_types::{DeviceId, Timestamp};
use uuid::Uuid;

use super::{Command, Error, Event, OnboardingToken, Terms};
use crate::domain::facts::Platform;
use crate::domain::tags::{InvalidTags, sorted};

const MADE: Timestamp = Timestamp::from_micros(1_000);
const LATER: Timestamp = Timestamp::from_micros(2_000);
const EXPIRY: Timestamp = Timestamp::from_micros(9_000);
const SECRET: [u8; 32] = [1; 32];

fn given(events: &[Event]) -> OnboardingToken {
    let mut token = OnboardingToken::default();
    events.iter().for_each(|event| token.evolve(event));
    token
}

fn issue(terms: Terms) -> Command {
    Command::Issue { secret_hash: SECRET, expire_time: EXPIRY, terms, now: MADE }
}

fn for_devices(uses_max: u32) -> Terms {
    Terms { uses_max, ..Terms::default() }
}

fn issued(uses_max: u32) -> Event {
    Event::Issued { secret_hash: SECRET, expire_time: EXPIRY, terms: for_devices(uses_max), at: MADE }
}

fn device() -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(1))
}

fn let_in(now: Timestamp) -> Command {
    Command::Use { device: device(), platform: Platform::Linux, now }
}

fn used() -> Event {
    Event::Used { device: device(), at: LATER }
}

#[test]
fn a_token_is_issued_once() {
    assert_eq!(given(&[]).decide(&issue(for_devices(3))), Ok(vec![issued(3)]));
    assert_eq!(given(&[issued(3)]).decide(&issue(for_devices(3))), Ok(vec![]));
}

#[test]
fn the_same_request_with_other_content_is_refused() {
    assert_eq!(given(&[issued(3)]).decide(&issue(for_devices(4))), Err(Error::RequestReused { uses_max: 3 }));
}

#[test]
fn a_good_token_lets_a_device_in() {
    assert_eq!(given(&[issued(2), used()]).decide(&let_in(LATER)), Ok(vec![used()]));
}

#[test]
fn a_used_up_token_is_refused() {
    assert_eq!(given(&[issued(1), used()]).decide(&let_in(LATER)), Err(Error::UsedUp { uses_max: 1 }));
}

#[test]
fn an_expired_token_is_refused_from_the_moment_of_its_expiry() {
    assert_eq!(given(&[issued(1)]).decide(&let_in(EXPIRY)), Err(Error::Expired { expire_time: EXPIRY }));
}

#[test]
fn a_revoked_token_is_refused() {
    let token = given(&[issued(2), Event::Revoked { at: LATER }]);
    assert_eq!(token.decide(&let_in(LATER)), Err(Error::Revoked { revoke_time: LATER }));
    assert_eq!(token.admit(&SECRET), Err(Error::Revoked { revoke_time: LATER }));
}

#[test]
fn a_token_that_was_never_issued_is_unknown() {
    assert_eq!(given(&[]).decide(&let_in(LATER)), Err(Error::Unknown));
    assert_eq!(given(&[]).decide(&Command::Revoke { now: LATER }), Err(Error::Unknown));
    assert_eq!(given(&[]).admit(&SECRET), Err(Error::Unknown));
}

#[test]
fn a_wrong_secret_is_as_good_as_no_token() {
    assert_eq!(given(&[issued(1)]).admit(&[2; 32]), Err(Error::Unknown));
    assert_eq!(given(&[issued(1)]).admit(&SECRET), Ok(()));
}

#[test]
fn revoking_twice_is_no_error() {
    let revoked = Event::Revoked { at: LATER };
    assert_eq!(given(&[issued(1)]).decide(&Command::Revoke { now: LATER }), Ok(vec![revoked.clone()]));
    assert_eq!(given(&[issued(1), revoked]).decide(&Command::Revoke { now: EXPIRY }), Ok(vec![]));
}

#[test]
fn a_platform_that_is_not_named_is_refused() {
    let terms = Terms { platforms: vec![Platform::Windows], ..for_devices(1) };
    let only_windows = Event::Issued { secret_hash: SECRET, expire_time: EXPIRY, terms, at: MADE };
    let refused = Error::Platform { platform: Platform::Linux };
    assert_eq!(given(&[only_windows]).decide(&let_in(LATER)), Err(refused));
}

#[test]
fn tags_and_names_out_of_bounds_are_refused() {
    let untaggable = Terms { tags: sorted([""]), ..for_devices(1) };
    let refused = Error::Tags(InvalidTags::Tag { found: String::new() });
    assert_eq!(given(&[]).decide(&issue(untaggable)), Err(refused));
    let wordy = Terms { display_name: "x".repeat(257).into(), ..for_devices(1) };
    assert_eq!(given(&[]).decide(&issue(wordy)), Err(Error::DisplayName));
}
