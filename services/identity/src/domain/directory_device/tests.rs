//! Given past events, when a command, then new events or a refusal.

use muster_types::{DeviceId, HardwareKey, HardwareKeyKind};
use uuid::Uuid;

use super::*;

fn given(events: &[Event]) -> DirectoryDevice {
    let mut device = DirectoryDevice::default();
    events.iter().for_each(|event| device.evolve(event));
    device
}

fn record(name: &str) -> Record {
    Record {
        directory_id: "9F0E".into(),
        display_name: name.into(),
        join_type: "AzureAD".into(),
        hardware_keys: Box::new([HardwareKey { kind: HardwareKeyKind::Serial, digest: [1; 32] }]),
        attributes: [("deviceOwnership".into(), "Company".into())].into(),
    }
}

fn devices(ids: &[u128]) -> Vec<DeviceId> {
    ids.iter().map(|id| DeviceId::from_uuid(Uuid::from_u128(*id))).collect()
}

#[test]
fn what_the_directory_says_is_taken_over_once() {
    let said = Event::Upserted(record("a"));
    assert_eq!(given(&[]).decide(&Command::Upsert(record("a"))), Ok(vec![said.clone()]));
    assert_eq!(given(std::slice::from_ref(&said)).decide(&Command::Upsert(record("a"))), Ok(vec![]));
    let renamed = Ok(vec![Event::Upserted(record("b"))]);
    assert_eq!(given(std::slice::from_ref(&said)).decide(&Command::Upsert(record("b"))), renamed);
    let back = Ok(vec![said.clone()]);
    assert_eq!(given(&[said, Event::Removed]).decide(&Command::Upsert(record("a"))), back, "it is back");
}

#[test]
fn an_open_question_is_noted_once_and_settled_once() {
    let said = Event::Upserted(record("a"));
    let open = Event::MatchAmbiguous(devices(&[1, 2]));
    let asked = given(&[said.clone(), open.clone()]);
    let fresh = given(std::slice::from_ref(&said));
    assert_eq!(fresh.decide(&Command::Match(devices(&[1, 2]))), Ok(vec![open]));
    assert_eq!(fresh.decide(&Command::Match(vec![])), Ok(vec![]));
    assert_eq!(asked.decide(&Command::Match(devices(&[1, 2]))), Ok(vec![]));
    assert_eq!(asked.decide(&Command::Match(vec![])), Ok(vec![Event::MatchAmbiguous(vec![])]));
    assert_eq!(given(&[]).decide(&Command::Match(vec![])), Err(Error::Unknown));
    assert_eq!(given(&[said, Event::Removed]).decide(&Command::Match(vec![])), Err(Error::Unknown));
}

#[test]
fn it_is_removed_once() {
    let said = Event::Upserted(record("a"));
    assert_eq!(given(&[]).decide(&Command::Remove), Err(Error::Unknown));
    assert_eq!(given(std::slice::from_ref(&said)).decide(&Command::Remove), Ok(vec![Event::Removed]));
    assert_eq!(given(&[said, Event::Removed]).decide(&Command::Remove), Ok(vec![]));
}

#[test]
fn records_out_of_bounds_are_told() {
    assert_eq!(record("a").check(), Ok(()));
    let id = |id: &str| Record { directory_id: id.into(), ..record("a") }.check();
    for bad in ["", "a b", "a\n", &"x".repeat(129)] {
        assert_eq!(id(bad), Err(RecordError::DirectoryId), "{bad:?}");
    }
    assert_eq!(record(&"é".repeat(257)).check(), Err(RecordError::DisplayName));
    let join = Record { join_type: "azuread".into(), ..record("a") };
    assert_eq!(join.check(), Err(RecordError::JoinType));
    let keys = vec![HardwareKey { kind: HardwareKeyKind::Serial, digest: [1; 32] }; 9];
    let keys = Record { hardware_keys: keys.into(), ..record("a") };
    assert_eq!(keys.check(), Err(RecordError::HardwareKeys { found: 9 }));
    let many = (0..65).map(|i| (format!("a{i}").into(), "x".into())).collect();
    let many = Record { attributes: many, ..record("a") };
    assert_eq!(many.check(), Err(RecordError::Attributes { found: 65 }));
    let long = Record { attributes: [("a".into(), "x".repeat(257).into())].into(), ..record("a") };
    assert_eq!(long.check(), Err(RecordError::Attribute));
}

#[test]
fn a_registration_is_known_by_the_id_in_lower_case() {
    assert_eq!(record("a").registration(), "directory:9f0e");
}
