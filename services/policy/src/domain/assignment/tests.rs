//! Given past events, when a command, then new events.

use muster_types::{GroupId, PolicyId, Timestamp};
use uuid::Uuid;

use super::{Assignment, Command, Error, Event, FILTER_CHARS_MAX, Intent, Priority, Tie, stream_id};

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
    Command::Assign { policy: policy(1), group: group(2), tie: Tie::plain(intent), now: NOW }
}

fn assigned(intent: Intent) -> Event {
    Event::Assigned { policy: policy(1), group: group(2), tie: Tie::plain(intent), at: NOW }
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

fn tie(intent: Intent, priority: Option<u32>, filter: &str) -> Command {
    let priority = priority.map(|number| Priority::new(number).unwrap());
    let tie = Tie { intent, priority, filter: filter.into() };
    Command::Assign { policy: policy(1), group: group(2), tie, now: NOW }
}

#[test]
fn another_priority_or_filter_replaces_the_tie() {
    let included = given(&[assigned(Intent::Include)]);
    for other in [tie(Intent::Include, Some(3), ""), tie(Intent::Include, None, "(a -eq b)")] {
        assert_eq!(included.decide(&other).unwrap().len(), 1);
    }
}

#[test]
fn priorities_are_1_to_1000() {
    assert_eq!(Priority::new(1).map(Priority::number), Some(1));
    assert_eq!(Priority::new(1_000).map(Priority::number), Some(1_000));
    for bad in [0, 1_001, u32::MAX] {
        assert_eq!(Priority::new(bad), None);
    }
}

#[test]
fn an_exclusion_takes_no_priority_and_a_filter_has_an_end() {
    let refused = given(&[]).decide(&tie(Intent::Exclude, Some(3), ""));
    assert_eq!(refused, Err(Error::PriorityOfExclusion));
    let long = tie(Intent::Exclude, None, &"ä".repeat(FILTER_CHARS_MAX + 1));
    assert_eq!(given(&[]).decide(&long), Err(Error::FilterTooLong { found: FILTER_CHARS_MAX + 1 }));
    assert!(given(&[]).decide(&tie(Intent::Exclude, None, &"ä".repeat(FILTER_CHARS_MAX))).is_ok());
}
