//! Given past events, when a command, then new events or a refusal.

use muster_types::{RequestId, TokenId};
use uuid::Uuid;

use super::{Command, Enrollment, Error, Event, ManagedBy};
use crate::domain::facts::DeviceFacts;
use crate::domain::facts::tests::a_linux_device;

const KEY: [u8; 32] = [1; 32];
const NEW_KEY: [u8; 32] = [2; 32];

fn given(events: &[Event]) -> Enrollment {
    let mut enrollment = Enrollment::default();
    events.iter().for_each(|event| enrollment.evolve(event));
    enrollment
}

fn token(n: u128) -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(n))
}

fn request(n: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(n))
}

fn onboard(key_digest: [u8; 32], n: u128) -> Command {
    Command::Onboard { token: token(1), key_digest, facts: a_linux_device(), request: request(n) }
}

fn onboarded(key_digest: [u8; 32], n: u128) -> Event {
    Event::Onboarded { token: token(1), key_digest, facts: a_linux_device(), request: request(n) }
}

fn succeed(key_digest: [u8; 32]) -> Command {
    Command::Succeed { key_digest, spiffe_id: "spiffe://muster.local/x".into() }
}

fn succeeded() -> Event {
    Event::Succeeded { spiffe_id: "spiffe://muster.local/x".into(), managed_by: ManagedBy::Muster }
}

fn renamed() -> DeviceFacts {
    DeviceFacts { hostname: "web-02".into(), ..a_linux_device() }
}

#[test]
fn a_new_device_is_onboarded() {
    assert_eq!(given(&[]).decide(&onboard(KEY, 1)), Ok(vec![onboarded(KEY, 1)]));
}

#[test]
fn the_same_key_and_token_again_change_nothing() {
    let device = given(&[onboarded(KEY, 1), succeeded()]);
    assert_eq!(device.decide(&onboard(KEY, 2)), Ok(vec![]));
}

#[test]
fn a_known_device_with_a_new_key_is_onboarded_again() {
    let device = given(&[onboarded(KEY, 1), succeeded()]);
    assert_eq!(device.decide(&onboard(NEW_KEY, 2)), Ok(vec![onboarded(NEW_KEY, 2)]));
}

#[test]
fn a_repeated_onboarding_with_other_facts_changes_the_facts_alone() {
    let again = Command::Onboard { token: token(1), key_digest: KEY, facts: renamed(), request: request(2) };
    assert_eq!(
        given(&[onboarded(KEY, 1)]).decide(&again),
        Ok(vec![Event::FactsChanged { facts: renamed() }])
    );
}

#[test]
fn facts_out_of_bounds_are_refused() {
    let facts = DeviceFacts { hostname: "a".repeat(300), ..a_linux_device() };
    let device = given(&[onboarded(KEY, 1)]);
    let refused = device.decide(&Command::ReportFacts { facts: facts.clone() });
    assert!(matches!(refused, Err(Error::Facts(e)) if e.field == "hostname"));
    let refused =
        given(&[]).decide(&Command::Onboard { token: token(1), key_digest: KEY, facts, request: request(1) });
    assert!(matches!(refused, Err(Error::Facts(_))));
}

#[test]
fn changed_facts_are_noted_once() {
    let report = Command::ReportFacts { facts: renamed() };
    let changed = Event::FactsChanged { facts: renamed() };
    assert_eq!(given(&[onboarded(KEY, 1)]).decide(&report), Ok(vec![changed.clone()]));
    assert_eq!(given(&[onboarded(KEY, 1), changed]).decide(&report), Ok(vec![]));
}

#[test]
fn facts_of_an_unknown_device_are_refused() {
    assert_eq!(given(&[]).decide(&Command::ReportFacts { facts: renamed() }), Err(Error::Unknown));
}

#[test]
fn established_trust_completes_an_enrollment_once() {
    assert_eq!(given(&[onboarded(KEY, 1)]).decide(&succeed(KEY)), Ok(vec![succeeded()]));
    assert_eq!(given(&[onboarded(KEY, 1), succeeded()]).decide(&succeed(KEY)), Ok(vec![]));
    assert_eq!(given(&[]).decide(&succeed(KEY)), Err(Error::Unknown));
}

#[test]
fn trust_in_a_replaced_key_completes_nothing() {
    let device = given(&[onboarded(KEY, 1), onboarded(NEW_KEY, 2)]);
    assert_eq!(device.decide(&succeed(KEY)), Ok(vec![]));
    assert_eq!(device.decide(&succeed(NEW_KEY)), Ok(vec![succeeded()]));
}
