//! Given past events, when a command, then new events.

use muster_types::Timestamp;

use super::{Command, Event, Kind, Registration};

fn given(events: &[Event]) -> Registration {
    let mut registration = Registration::default();
    events.iter().for_each(|event| registration.evolve(event));
    registration
}

fn establish(serial: u8) -> Command {
    Command::Establish {
        spiffe_id: "spiffe://muster.local/x".into(),
        key_digest: [1; 32],
        certificate_serial: vec![serial],
        not_after: Timestamp::from_micros(9),
    }
}

fn established(kind: Kind, serial: u8) -> Event {
    Event::TrustEstablished {
        kind,
        spiffe_id: "spiffe://muster.local/x".into(),
        key_digest: [1; 32],
        certificate_serial: vec![serial],
        not_after: Timestamp::from_micros(9),
    }
}

#[test]
fn a_device_that_no_directory_knows_gets_a_synthetic_registration() {
    assert_eq!(given(&[]).decide(&establish(1)), [established(Kind::Synthetic, 1)]);
}

#[test]
fn each_certificate_is_an_event_and_the_registration_stays() {
    let full = given(&[established(Kind::Full, 1)]);
    assert_eq!(full.decide(&establish(2)), [established(Kind::Full, 2)]);
}

#[test]
fn the_same_certificate_again_is_no_event() {
    assert_eq!(given(&[established(Kind::Synthetic, 1)]).decide(&establish(1)), []);
}
