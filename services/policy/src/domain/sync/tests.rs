//! Given past events, when a command, then new events.

use muster_types::RequestId;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{Command, Event, Sync};

fn request(n: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(n))
}

#[test]
fn a_request_is_noted_once() {
    let mut sync = Sync::default();
    let first = Event::Requested { request: request(1) };
    assert_eq!(sync.decide(&Command::Request { request: request(1) }), Ok(vec![first.clone()]));
    sync.evolve(&first);
    assert_eq!(sync.decide(&Command::Request { request: request(1) }), Ok(vec![]));
    let second = Event::Requested { request: request(2) };
    assert_eq!(sync.decide(&Command::Request { request: request(2) }), Ok(vec![second]));
}

#[test]
fn many_devices_are_one_event_and_none_is_none() {
    let mut sync = Sync::default();
    let devices: RoaringBitmap = [1, 7].into();
    let many =
        |devices: &RoaringBitmap| Command::RequestMany { devices: devices.clone(), request: request(1) };
    let asked = Event::ManyRequested { devices: devices.clone(), request: request(1) };
    assert_eq!(sync.decide(&many(&devices)), Ok(vec![asked.clone()]));
    assert_eq!(sync.decide(&many(&RoaringBitmap::new())), Ok(vec![]));
    sync.evolve(&asked);
    assert_eq!(sync.decide(&many(&devices)), Ok(vec![]));
}
