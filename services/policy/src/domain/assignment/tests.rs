//! Given past events, when a command, then new events.

use muster_types::{GroupId, PolicyId, Timestamp};
use uuid::Uuid;

use super::{Assignment, Command, Event, Intent, stream_id};

const NOW: Timestamp = Timestamp::from_micros(5);

fn policy(n: u128) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(n))
}

fn group(n: u128) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(n))
}

fn given(events: &[Event]) -> Assignment {
    let mut assignment = Assignment::default();
    events.iter().for_each(|event| assignment.evolve(event));
    assignment
}

fn assign(intent: Intent) -> Command {
    Command::Assign { policy: policy(1), group: group(2), intent, now: NOW }
}

fn assigned(intent: Intent) -> Event {
    Event::Assigned { policy: policy(1), group: group(2), intent, at: NOW }
}

const UNASSIGN: fn() -> Command = || Command::Unassign { policy: policy(1), group: group(2) };
const UNASSIGNED: fn() -> Event = || Event::Unassigned { policy: policy(1), group: group(2) };

#[test]
fn assigning_twice_is_one_assignment() {
    assert_eq!(given(&[]).decide(&assign(Intent::Include)), Ok(vec![assigned(Intent::Include)]));
    assert_eq!(given(&[assigned(Intent::Include)]).decide(&assign(Intent::Include)), Ok(vec![]));
}

#[test]
fn a_new_intent_replaces_the_old_one() {
    let included = given(&[assigned(Intent::Include)]);
    assert_eq!(included.decide(&assign(Intent::Exclude)), Ok(vec![assigned(Intent::Exclude)]));
}

#[test]
fn only_what_is_assigned_is_taken_back() {
    assert_eq!(given(&[assigned(Intent::Exclude)]).decide(&UNASSIGN()), Ok(vec![UNASSIGNED()]));
    assert_eq!(given(&[assigned(Intent::Exclude), UNASSIGNED()]).decide(&UNASSIGN()), Ok(vec![]));
    assert_eq!(given(&[]).decide(&UNASSIGN()), Ok(vec![]));
}

#[test]
fn each_pair_has_its_own_stream() {
    assert_ne!(stream_id(policy(1), group(2)), stream_id(policy(2), group(1)));
}
