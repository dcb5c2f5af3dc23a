//! Given past events, when a command, then new events or a refusal.

use muster_types::{GroupId, Timestamp};
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{Command, Error, Event, Group};

const MADE: Timestamp = Timestamp::from_micros(1);
const LATER: Timestamp = Timestamp::from_micros(2);

fn given(events: &[Event]) -> Group {
    let mut group = Group::default();
    events.iter().for_each(|event| group.evolve(event));
    group
}

fn define(name: &str) -> Command {
    Command::Define { display_name: name.into(), namesake: None, now: MADE }
}

fn defined(name: &str) -> Event {
    Event::Defined { display_name: name.into(), at: MADE }
}

fn set(ordinals: &[u32]) -> RoaringBitmap {
    ordinals.iter().collect()
}

fn modify(add: &[u32], remove: &[u32], expected: Option<u64>) -> Command {
    Command::ModifyMembers { add: set(add), remove: set(remove), expected, now: LATER }
}

fn changed(added: &[u32], removed: &[u32]) -> Event {
    Event::MembershipChanged { added: set(added), removed: set(removed), at: LATER }
}

#[test]
fn a_group_is_defined_once() {
    assert_eq!(given(&[]).decide(&define("Web servers")), Ok(vec![defined("Web servers")]));
    assert_eq!(given(&[defined("Web servers")]).decide(&define("Web servers")), Ok(vec![]));
}

#[test]
fn the_same_request_with_another_name_is_refused() {
    let refused = Err(Error::RequestReused { display_name: "Web servers".into() });
    assert_eq!(given(&[defined("Web servers")]).decide(&define("Databases")), refused);
}

#[test]
fn a_name_in_use_is_refused() {
    let by = GroupId::from_uuid(Uuid::from_u128(9));
    let command = Command::Define { display_name: "Web servers".into(), namesake: Some(by), now: MADE };
    assert_eq!(given(&[]).decide(&command), Err(Error::NameTaken { by }));
}

#[test]
fn a_name_that_is_none_is_refused() {
    for name in ["", " x", "x ", "a\nb", &"é".repeat(257)] {
        assert_eq!(given(&[]).decide(&define(name)), Err(Error::NameInvalid), "{name:?}");
    }
    assert!(given(&[]).decide(&define(&"é".repeat(256))).is_ok());
}

#[test]
fn members_come_and_go_as_one_change_that_names_only_what_is_new() {
    let group = given(&[defined("g"), changed(&[1, 2], &[])]);
    assert_eq!(group.decide(&modify(&[2, 3], &[1, 9], None)), Ok(vec![changed(&[3], &[1])]));
}

#[test]
fn what_is_already_so_is_no_event_whatever_the_revision() {
    let group = given(&[defined("g"), changed(&[1], &[])]);
    assert_eq!(group.decide(&modify(&[1], &[7], Some(1))), Ok(vec![]));
}

#[test]
fn a_stale_revision_is_refused() {
    let group = given(&[defined("g"), changed(&[1], &[])]);
    assert_eq!(group.decide(&modify(&[2], &[], Some(1))), Err(Error::Moved { expected: 1, found: 2 }));
    assert_eq!(group.decide(&modify(&[2], &[], Some(2))), Ok(vec![changed(&[2], &[])]));
}

#[test]
fn a_contradiction_is_refused() {
    let group = given(&[defined("g")]);
    assert_eq!(group.decide(&modify(&[4, 5], &[5], None)), Err(Error::Contradiction { ordinal: 5 }));
}

#[test]
fn members_of_an_unknown_group_are_refused() {
    assert_eq!(given(&[]).decide(&modify(&[1], &[], None)), Err(Error::Unknown));
}
