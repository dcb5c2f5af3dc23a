//! Given past events, when a command, then new events or a refusal.

use muster_types::{Timestamp, TrustAnchorId};
use uuid::Uuid;

use super::{CERTIFICATES_MAX, Command, Error, Event, Kind, TrustAnchor, Unfit};

const NOW: Timestamp = Timestamp::from_micros(1);
const GUID: &str = "383a3889-5bc9-47a3-846c-2b70f0b7fe0e";

fn given(events: &[Event]) -> TrustAnchor {
    let mut anchor = TrustAnchor::default();
    events.iter().for_each(|event| anchor.evolve(event));
    anchor
}

/// A wish for an authority of one certificate.
fn add(name: &str, kind: Kind, directory_tenant_id: &str) -> Command {
    Command::Add {
        display_name: name.into(),
        kind,
        certificates_der: vec![vec![1]],
        unfit: None,
        directory_tenant_id: directory_tenant_id.into(),
        namesake: None,
        now: NOW,
    }
}

fn added(name: &str, kind: Kind, directory_tenant_id: &str) -> Event {
    Event::Added {
        display_name: name.into(),
        kind,
        certificates_der: vec![vec![1]],
        directory_tenant_id: directory_tenant_id.into(),
        at: NOW,
    }
}

#[test]
fn an_authority_is_added_once() {
    let event = added("Corp", Kind::CorporateCa, "");
    assert_eq!(given(&[]).decide(&add("Corp", Kind::CorporateCa, "")), Ok(vec![event.clone()]));
    assert_eq!(given(std::slice::from_ref(&event)).decide(&add("Corp", Kind::CorporateCa, "")), Ok(vec![]));
    let refused = Err(Error::RequestReused { display_name: "Corp".into() });
    assert_eq!(given(&[event]).decide(&add("Corp", Kind::Spire, "")), refused);
}

#[test]
fn only_a_directory_names_a_directory_tenant_and_by_a_guid() {
    let shouted = GUID.to_uppercase();
    let expected = added("Entra", Kind::Directory, GUID);
    assert_eq!(given(&[]).decide(&add("Entra", Kind::Directory, &shouted)), Ok(vec![expected.clone()]));
    assert_eq!(given(&[expected]).decide(&add("Entra", Kind::Directory, &shouted)), Ok(vec![]));
    let refused = Err(Error::DirectoryTenantInvalid);
    assert_eq!(given(&[]).decide(&add("Entra", Kind::Directory, "contoso")), refused);
    assert_eq!(given(&[]).decide(&add("Corp", Kind::CorporateCa, GUID)), refused);
}

#[test]
fn a_name_in_use_or_none_is_refused() {
    let by = TrustAnchorId::from_uuid(Uuid::from_u128(9));
    let mut command = add("Corp", Kind::Spire, "");
    if let Command::Add { namesake, .. } = &mut command {
        *namesake = Some(by);
    }
    assert_eq!(given(&[]).decide(&command), Err(Error::NameTaken { by }));
    for name in ["", " x", "a\nb", &"é".repeat(257)] {
        assert_eq!(given(&[]).decide(&add(name, Kind::Spire, "")), Err(Error::NameInvalid), "{name:?}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_refused_unless_the_anchor_is_there_already() {
    let with = |certificates: usize, unfit: Option<Unfit>| Command::Add {
        display_name: "Corp".into(),
        kind: Kind::CorporateCa,
        certificates_der: vec![vec![1]; certificates],
        unfit,
        directory_tenant_id: String::new(),
        namesake: None,
        now: NOW,
    };
    for found in [0, CERTIFICATES_MAX + 1] {
        assert_eq!(given(&[]).decide(&with(found, None)), Err(Error::CertificateCount { found }));
    }
    let expired = with(1, Some(Unfit { index: 0, reason: "it expired".into() }));
    let refused = Error::CertificateUnfit { index: 0, reason: "it expired".into() };
    assert_eq!(given(&[]).decide(&expired), Err(refused));
    assert_eq!(given(&[added("Corp", Kind::CorporateCa, "")]).decide(&expired), Ok(vec![]), "told again");
}

#[test]
fn an_authority_is_removed_once() {
    let there = added("Corp", Kind::CorporateCa, "");
    assert_eq!(given(&[]).decide(&Command::Remove), Err(Error::Unknown));
    assert_eq!(given(std::slice::from_ref(&there)).decide(&Command::Remove), Ok(vec![Event::Removed]));
    assert_eq!(given(&[there, Event::Removed]).decide(&Command::Remove), Ok(vec![]));
}
