//! Given past events, when a command, then new events or a refusal.

use muster_types::{GroupId, Timestamp};
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{Command, Error, Event, Group, Verdict};
use crate::domain::rule::ErrorKind;

const MADE: Timestamp = Timestamp::from_micros(1);
const LATER: Timestamp = Timestamp::from_micros(2);

fn given(events: &[Event]) -> Group {
    let mut group = Group::default();
    events.iter().for_each(|event| group.evolve(event));
    group
}

fn define(name: &str) -> Command {
    Command::Define { display_name: name.into(), rule: None, obstacle: None, now: MADE }
}

fn defined(name: &str) -> Event {
    Event::Defined { display_name: name.into(), rule: None, at: MADE }
}

const LINUX: &str = r#"device.deviceOSType -eq "Linux""#;
const WINDOWS: &str = r#"device.deviceOSType -eq "Windows""#;

fn dynamic(rule: &str) -> Event {
    Event::Defined { display_name: "g".into(), rule: Some(rule.into()), at: MADE }
}

fn change_rule(rule: &str, expected: Option<u64>) -> Command {
    Command::ChangeRule { rule: rule.into(), obstacle: None, expected }
}

fn resolve(rule: &str, within: Option<&[u32]>, inside: &[u32], unknown: &[u32]) -> Command {
    let verdict = Verdict { within: within.map(set), inside: set(inside), unknown: set(unknown) };
    Command::Resolve { rule: rule.into(), verdict, now: LATER }
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
    let obstacle = Some(Error::NameTaken { by });
    let command = Command::Define { display_name: "Web servers".into(), rule: None, obstacle, now: MADE };
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

#[test]
fn a_dynamic_group_has_a_rule_that_holds() {
    let define = |rule: &str| Command::Define {
        display_name: "g".into(),
        rule: Some(rule.into()),
        obstacle: None,
        now: MADE,
    };
    assert_eq!(given(&[]).decide(&define(LINUX)), Ok(vec![dynamic(LINUX)]));
    let refused = given(&[]).decide(&define("device.nickName -eq null"));
    assert!(matches!(refused, Err(Error::Rule(error)) if error.kind == ErrorKind::UnknownProperty));
}

#[test]
fn a_rule_is_changed_once_and_only_where_there_is_one() {
    let group = given(&[dynamic(LINUX)]);
    assert_eq!(group.decide(&change_rule(LINUX, Some(9))), Ok(vec![]));
    let changed = vec![Event::RuleChanged { rule: WINDOWS.into() }];
    assert_eq!(group.decide(&change_rule(WINDOWS, Some(1))), Ok(changed));
    assert_eq!(group.decide(&change_rule(WINDOWS, Some(9))), Err(Error::Moved { expected: 9, found: 1 }));
    assert!(matches!(group.decide(&change_rule("x", None)), Err(Error::Rule(_))));
    assert_eq!(given(&[defined("g")]).decide(&change_rule(LINUX, None)), Err(Error::Static));
    assert_eq!(given(&[]).decide(&change_rule(LINUX, None)), Err(Error::Unknown));
}

#[test]
fn members_of_a_dynamic_group_are_not_named() {
    assert_eq!(given(&[dynamic(LINUX)]).decide(&modify(&[1], &[], None)), Err(Error::Dynamic));
}

#[test]
fn what_a_rule_says_is_told_as_a_difference_and_the_unknown_stay() {
    let group = given(&[dynamic(LINUX), changed(&[1, 2, 3], &[])]);
    assert_eq!(group.decide(&resolve(LINUX, None, &[1, 7], &[2, 9])), Ok(vec![changed(&[7], &[3])]));
    assert_eq!(group.decide(&resolve(LINUX, Some(&[2, 7]), &[7], &[])), Ok(vec![changed(&[7], &[2])]));
    assert_eq!(group.decide(&resolve(LINUX, None, &[1, 2, 3], &[])), Ok(vec![]));
}

#[test]
fn what_a_former_rule_said_counts_no_longer() {
    let group = given(&[dynamic(LINUX), Event::RuleChanged { rule: WINDOWS.into() }]);
    assert_eq!(group.decide(&resolve(LINUX, None, &[1], &[])), Ok(vec![]));
    assert_eq!(given(&[defined("g")]).decide(&resolve(LINUX, None, &[1], &[])), Ok(vec![]));
}

#[test]
fn devices_that_are_gone_leave_groups_of_either_kind() {
    let leave = Command::Leave { gone: set(&[1, 5]), now: LATER };
    for first in [defined("g"), dynamic(LINUX)] {
        let group = given(&[first, changed(&[1, 2], &[])]);
        assert_eq!(group.decide(&leave), Ok(vec![changed(&[], &[1])]));
    }
    assert_eq!(given(&[]).decide(&leave), Ok(vec![]));
}

#[test]
fn a_group_is_deleted_once_after_its_members_have_left() {
    let delete = |expected| Command::Delete { expected, now: LATER };
    let group = given(&[defined("g"), changed(&[1], &[])]);
    assert_eq!(group.decide(&delete(None)), Ok(vec![changed(&[], &[1]), Event::Deleted]));
    assert_eq!(group.decide(&delete(Some(1))), Err(Error::Moved { expected: 1, found: 2 }));
    let deleted = given(&[defined("g"), Event::Deleted]);
    assert_eq!(deleted.defined(), None);
    assert_eq!(deleted.decide(&delete(None)), Ok(vec![]));
    assert_eq!(deleted.decide(&modify(&[1], &[], None)), Err(Error::Unknown));
    assert_eq!(deleted.decide(&resolve(LINUX, None, &[1], &[])), Ok(vec![]));
    assert!(matches!(deleted.decide(&define("g")), Err(Error::RequestReused { .. })));
    assert_eq!(given(&[]).decide(&delete(None)), Err(Error::Unknown));
}
