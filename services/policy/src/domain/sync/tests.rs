//! Given past events, when a command, then new events.

use muster_types::RequestId;
use uuid::Uuid;

use super::{Command, Event, Sync};

#[test]
fn a_request_is_noted_once() {
    let request = |n| RequestId::from_uuid(Uuid::from_u128(n));
    let mut sync = Sync::default();
    let first = Event::Requested { request: request(1) };
    assert_eq!(sync.decide(&Command::Request { request: request(1) }), Ok(vec![first]));
    sync.evolve(&first);
    assert_eq!(sync.decide(&Command::Request { request: request(1) }), Ok(vec![]));
    let second = Event::Requested { request: request(2) };
    assert_eq!(sync.decide(&Command::Request { request: request(2) }), Ok(vec![second]));
}
