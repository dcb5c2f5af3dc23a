//! Directories tell of devices, and devices are promoted by it.

use std::time::Duration;

use muster_client::Client;
use muster_errors::ErrorCode;
use muster_pki::csr;
use muster_proto::identity::v1 as pb;
use muster_types::{Aggregate, HardwareKey, HardwareKeyKind, Service, StreamId, TenantId};
use rcgen::KeyPair;
use uuid::Uuid;

use crate::authority::TestAuthority;
use crate::server::{PARENT, TestDevice, TestServer, code, device_name, fault, wish};

fn key(kind: HardwareKeyKind, value: &str) -> pb::HardwareKey {
    let key = HardwareKey::of(kind, value).expect("no placeholder");
    pb::HardwareKey { kind: kind as i32, digest: key.digest.to_vec() }
}

fn serial(value: &str) -> pb::HardwareKey {
    key(HardwareKeyKind::Serial, value)
}

fn record(id: &str, keys: &[pb::HardwareKey]) -> pb::DirectoryDevice {
    pb::DirectoryDevice {
        directory_id: id.into(),
        display_name: "LAPTOP".into(),
        join_type: "AzureAD".into(),
        hardware_keys: keys.to_vec(),
        ..Default::default()
    }
}

fn import(records: &[pb::DirectoryDevice]) -> pb::UpsertDirectoryDevicesRequest {
    pb::UpsertDirectoryDevicesRequest {
        parent: PARENT.into(),
        directory_devices: records.to_vec(),
        ..Default::default()
    }
}

/// Changed, unchanged, promoted, ambiguous.
async fn imported(admin: &Client, records: &[pb::DirectoryDevice]) -> (u32, u32, u32, u32) {
    counts(
        admin
            .registrations()
            .upsert_directory_devices(import(records))
            .await
            .expect("taken over")
            .into_inner(),
    )
}

fn counts(reply: pb::UpsertDirectoryDevicesResponse) -> (u32, u32, u32, u32) {
    let pb::UpsertDirectoryDevicesResponse { changed, unchanged, promoted, ambiguous } = reply;
    (changed, unchanged, promoted, ambiguous)
}

async fn trusted(server: &TestServer, number: u128, keys: &[pb::HardwareKey]) -> TestDevice {
    let key = KeyPair::generate().expect("a key");
    let csr_der = csr::create(&key).expect("a request");
    let wish = pb::EstablishTrustRequest { csr_der, hardware_keys: keys.to_vec(), ..wish(number) };
    let trust = server.service(Service::Enroll).trust().establish_trust(wish).await.expect("trusted");
    let chain_der = trust.into_inner().certificate_chain_der;
    TestDevice { name: device_name(number), key, chain_der }
}

fn registration_name(number: u128) -> String {
    device_name(number).replace("devices", "registrations")
}

async fn shown(admin: &Client, number: u128) -> pb::Registration {
    let request = pb::GetRegistrationRequest { name: registration_name(number) };
    admin.registrations().get_registration(request).await.expect("shown").into_inner()
}

async fn listed(admin: &Client, ambiguous_only: bool) -> Vec<pb::DirectoryDevice> {
    let request =
        pb::ListDirectoryDevicesRequest { parent: PARENT.into(), ambiguous_only, ..Default::default() };
    let page = admin.registrations().list_directory_devices(request).await.expect("a page").into_inner();
    page.directory_devices
}

fn promote(number: u128, directory_device: &str, merge: &[u128]) -> pb::PromoteRegistrationRequest {
    pb::PromoteRegistrationRequest {
        name: registration_name(number),
        directory_device: directory_device.into(),
        merge_devices: merge.iter().map(|number| device_name(*number)).collect(),
        ..Default::default()
    }
}

/// Waits until something that reactions bring about is so.
async fn soon(is: impl AsyncFn() -> bool) {
    let so = async {
        while !is().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), so).await.expect("it comes in time");
}

#[tokio::test]
async fn an_import_is_taken_over_once_and_promotes_the_device_of_the_same_hardware() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let device = trusted(&server, 1, &[serial("pf-1a2b3c")]).await;
    trusted(&server, 2, &[serial("pf-9999x")]).await;
    let records = [record("AAAA", &[serial("PF1A2B3C")]), record("BBBB", &[])];
    let rehearsed = pb::UpsertDirectoryDevicesRequest { validate_only: true, ..import(&records) };
    let rehearsed = admin.registrations().upsert_directory_devices(rehearsed).await.expect("it would be");
    assert_eq!(counts(rehearsed.into_inner()), (2, 0, 1, 0));
    assert_eq!(server.events().await.len(), 2);

    assert_eq!(imported(&admin, &records).await, (2, 0, 1, 0));
    let promoted = shown(&admin, 1).await;
    assert_eq!(promoted.kind(), pb::RegistrationKind::Full);
    assert_eq!((&*promoted.registration, &*promoted.join_type), ("directory:aaaa", "AzureAD"));
    assert_eq!(shown(&admin, 2).await.kind(), pb::RegistrationKind::Synthetic);
    // Its certificate goes on: it renews as ever.
    let csr_der = csr::create(&device.key).expect("a request");
    let wish = pb::RenewCertificateRequest { csr_der, proof: None };
    let renewed = server.device(&device).device_trust().renew_certificate(wish).await.expect("renewed");
    assert_eq!(renewed.into_inner().kind(), pb::RegistrationKind::Full);

    let before = server.events().await;
    assert_eq!(imported(&admin, &records).await, (0, 2, 0, 0));
    let renamed = pb::DirectoryDevice { display_name: "NEW".into(), ..record("bbbb", &[]) };
    assert_eq!(imported(&admin, &[records[0].clone()]).await, (0, 1, 0, 0));
    assert_eq!(server.events().await, before, "what is known makes no event");
    assert_eq!(imported(&admin, &[renamed]).await, (1, 0, 0, 0));
    let all = listed(&admin, false).await;
    assert_eq!(all.len(), 2, "the same device, however its id is written");
    let held = all.iter().find(|told| told.directory_id == "AAAA").expect("listed");
    assert_eq!(held.device, device.name);
}

#[tokio::test]
async fn names_never_match() {
    let server = TestServer::start().await;
    let admin = server.admin();
    trusted(&server, 1, &[serial("pf-1a2b3c")]).await;
    let same_name = pb::DirectoryDevice { display_name: device_name(1), ..record("AAAA", &[]) };
    assert_eq!(imported(&admin, &[same_name]).await, (1, 0, 0, 0));
    let (uuid, other) =
        (key(HardwareKeyKind::SmbiosUuid, "4c4c4544-1"), key(HardwareKeyKind::SmbiosUuid, "4c4c4544-2"));
    trusted(&server, 2, &[uuid, serial("pf-7777x")]).await;
    let weaker_only = record("BBBB", &[other, serial("pf-7777x")]);
    assert_eq!(imported(&admin, &[weaker_only]).await, (1, 0, 0, 0), "the strongest common kind decides");
}

#[tokio::test]
async fn all_bad_records_are_named_and_none_is_taken_over() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let wrong_key = pb::HardwareKey { kind: 3, digest: vec![1] };
    let records = [
        record("AAAA", &[]),
        record("", &[]),
        record("CCCC", &[wrong_key]),
        record("aaaa", &[]),
        pb::DirectoryDevice { join_type: "joined".into(), ..record("DDDD", &[]) },
    ];
    let refused = admin.registrations().upsert_directory_devices(import(&records)).await;
    let refused = fault(refused).expect("refused");
    assert_eq!(refused.code, ErrorCode::ArgumentInvalid);
    let fields: Vec<_> = refused.fields.iter().map(|bad| &*bad.field).collect();
    let expected = [1, 2, 3, 4].map(|index| format!("directory_devices[{index}]"));
    assert_eq!(fields, expected);
    let many = vec![record("AAAA", &[]); 1_001];
    let refused = admin.registrations().upsert_directory_devices(import(&many)).await;
    assert_eq!(code(refused), Some(ErrorCode::ArgumentInvalid));
    assert!(server.events().await.is_empty());
}

#[tokio::test]
async fn a_device_that_comes_after_the_import_is_full_from_the_start() {
    let server = TestServer::start().await;
    let admin = server.admin();
    assert_eq!(imported(&admin, &[record("AAAA", &[serial("pf-1a2b3c")])]).await, (1, 0, 0, 0));
    trusted(&server, 1, &[serial("pf-1a2b3c")]).await;
    // At once where the view was there in time, else by the reaction a moment later.
    let events = server.events_until(2).await;
    assert_eq!(events[..2], ["DirectoryDeviceUpserted", "TrustEstablished"]);
    soon(async || shown(&admin, 1).await.kind() == pb::RegistrationKind::Full).await;
    assert_eq!(shown(&admin, 1).await.registration, "directory:aaaa");
}

#[tokio::test]
async fn a_device_that_crossed_the_import_is_promoted_by_the_later_of_the_two() {
    let server = TestServer::start().await;
    let admin = server.admin();
    imported(&admin, &[record("AAAA", &[serial("pf-1a2b3c")])]).await;
    // As an onboarding writes it that looked before the import was there.
    let established = pb::TrustEstablished {
        kind: pb::RegistrationKind::Synthetic.into(),
        key_digest: vec![1; 32],
        certificate_serial: vec![1; 16],
        not_after: Some(Default::default()),
        hardware_keys: vec![serial("pf-1a2b3c")],
        ..Default::default()
    };
    let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Registration, Uuid::from_u128(1));
    server.append(stream, "muster.identity.v1.TrustEstablished", &established).await;
    let expected = ["DirectoryDeviceUpserted", "TrustEstablished", "RegistrationPromoted"];
    assert_eq!(server.events_until(3).await, expected);
}

#[tokio::test]
async fn when_more_than_one_record_matches_an_admin_says_which() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let (uuid, number) = (key(HardwareKeyKind::SmbiosUuid, "4c4c4544-1"), serial("pf-1a2b3c"));
    trusted(&server, 1, &[uuid.clone(), number.clone()]).await;
    // Each is of the device's hardware, and nothing says that they are of each other's.
    let records = [record("AAAA", &[uuid]), record("BBBB", &[number])];
    assert_eq!(imported(&admin, &records).await, (2, 0, 0, 2));
    let questions = listed(&admin, true).await;
    assert!(questions.iter().all(|question| question.candidates == [device_name(1)]), "{questions:?}");
    let chosen = questions.iter().find(|question| question.directory_id == "BBBB").expect("listed");
    let answer = admin.registrations().promote_registration(promote(1, &chosen.name, &[])).await;
    assert_eq!(answer.expect("promoted").into_inner().registration, "directory:bbbb");
    soon(async || listed(&admin, true).await.is_empty()).await;
}

#[tokio::test]
async fn the_directory_knows_better_how_a_device_is_joined() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let id = "9f0e1d2c-0000-4000-8000-00000000000a";
    let entra = TestAuthority::new();
    entra.registered(&server, pb::TrustAnchorKind::Directory).await;
    let request = wish(1);
    let proof = Some(entra.proof(id, &request.csr_der));
    let request = pb::EstablishTrustRequest { proof, ..request };
    server.service(Service::Enroll).trust().establish_trust(request).await.expect("trusted");
    assert_eq!(shown(&admin, 1).await.join_type, "AzureAD");
    let told = pb::DirectoryDevice { join_type: "ServerAD".into(), ..record(id, &[]) };
    assert_eq!(imported(&admin, std::slice::from_ref(&told)).await, (1, 0, 0, 0));
    assert_eq!(shown(&admin, 1).await.join_type, "ServerAD");
    let before = server.events().await.len();
    assert_eq!(imported(&admin, &[told]).await, (0, 1, 0, 0));
    assert_eq!(server.events().await.len(), before);
}

#[tokio::test]
async fn when_more_than_one_device_matches_an_admin_says_which_and_merges_the_rest() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let keys = [serial("pf-1a2b3c")];
    trusted(&server, 1, &keys).await;
    let old = trusted(&server, 2, &keys).await;
    let group = pb::CreateGroupRequest {
        parent: PARENT.into(),
        group: Some(pb::Group {
            display_name: "Laptops".into(),
            kind: pb::GroupKind::Static.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let group = admin.groups().create_group(group).await.expect("defined").into_inner();
    let members = pb::ModifyGroupMembersRequest {
        name: group.name.clone(),
        add_devices: vec![device_name(1), device_name(2)],
        ..Default::default()
    };
    admin.groups().modify_group_members(members).await.expect("let in");

    let records = [record("AAAA", &keys)];
    assert_eq!(imported(&admin, &records).await, (1, 0, 0, 1));
    assert_eq!(imported(&admin, &records).await, (0, 1, 0, 1));
    let [question] = &listed(&admin, true).await[..] else { panic!("one question") };
    assert_eq!(question.candidates, [device_name(1), device_name(2)]);
    assert_eq!(question.device, "");

    let mut registrations = admin.registrations();
    let itself = promote(1, &question.name, &[1]);
    assert_eq!(code(registrations.promote_registration(itself).await), Some(ErrorCode::ArgumentInvalid));
    let rehearsed =
        pb::PromoteRegistrationRequest { validate_only: true, ..promote(1, &question.name, &[2]) };
    registrations.promote_registration(rehearsed).await.expect("it would be");
    assert_eq!(shown(&admin, 1).await.kind(), pb::RegistrationKind::Synthetic);
    for _ in 0..2 {
        let answer = registrations.promote_registration(promote(1, &question.name, &[2])).await;
        let answer = answer.expect("promoted").into_inner();
        assert_eq!((answer.kind(), &*answer.registration), (pb::RegistrationKind::Full, "directory:aaaa"));
    }
    assert_eq!(shown(&admin, 2).await.state(), pb::RegistrationState::Removed);
    let events = server.envelopes().await;
    let named = |kind: &str| events.iter().find(|event| event.kind.short() == kind).expect("there").position;
    assert_eq!(named("RegistrationPromoted"), named("RegistrationRemoved") + 1, "one append");

    // The one merged away is out of its groups, and the question is settled.
    soon(async || {
        let members = pb::ListGroupMembersRequest { name: group.name.clone(), ..Default::default() };
        let members = admin.groups().list_group_members(members).await.expect("members").into_inner();
        members.devices == [device_name(1)] && listed(&admin, true).await.is_empty()
    })
    .await;
    let client = server.device(&old);
    let csr_der = csr::create(&old.key).expect("a request");
    let renew = || async {
        let wish = pb::RenewCertificateRequest { csr_der: csr_der.clone(), proof: None };
        client.device_trust().renew_certificate(wish).await
    };
    let refusal = crate::server::refused(renew).await.code;
    assert!([ErrorCode::CertificateRevoked, ErrorCode::DeviceDeleted].contains(&refusal), "{refusal}");
}

#[tokio::test]
async fn a_registration_is_taken_only_from_a_device_that_is_merged() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let keys = [serial("pf-1a2b3c")];
    trusted(&server, 1, &keys).await;
    assert_eq!(imported(&admin, &[record("AAAA", &keys)]).await, (1, 0, 1, 0));
    // The machine was set up anew and came as another device.
    trusted(&server, 2, &keys).await;
    let [told] = &listed(&admin, false).await[..] else { panic!("one record") };
    let mut registrations = admin.registrations();
    let refused =
        fault(registrations.promote_registration(promote(2, &told.name, &[])).await).expect("refused");
    assert_eq!(refused.code, ErrorCode::RegistrationTaken);
    let unknown = promote(7, &told.name, &[1]);
    assert_eq!(code(registrations.promote_registration(unknown).await), Some(ErrorCode::DeviceUnknown));
    let nowhere = format!("{PARENT}/directoryDevices/{}", Uuid::nil());
    let nowhere = registrations.promote_registration(promote(2, &nowhere, &[])).await;
    assert_eq!(code(nowhere), Some(ErrorCode::DirectoryDeviceUnknown));
    assert_eq!(shown(&admin, 1).await.state(), pb::RegistrationState::Active, "nothing was merged");

    // The double is visible to whoever looks.
    soon(async || !listed(&admin, true).await.is_empty()).await;
    assert_eq!(listed(&admin, true).await[0].candidates, [device_name(1), device_name(2)]);
    let answer = registrations.promote_registration(promote(2, &told.name, &[1])).await;
    assert_eq!(answer.expect("promoted").into_inner().registration, "directory:aaaa");
    assert_eq!(shown(&admin, 1).await.state(), pb::RegistrationState::Removed);
}

#[tokio::test]
async fn what_a_directory_said_is_forgotten_once_and_the_registration_stays() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let keys = [serial("pf-1a2b3c")];
    trusted(&server, 1, &keys).await;
    imported(&admin, &[record("AAAA", &keys)]).await;
    let [told] = &listed(&admin, false).await[..] else { panic!("one record") };
    let delete = pb::DeleteDirectoryDeviceRequest { name: told.name.clone(), ..Default::default() };
    let mut registrations = admin.registrations();
    for _ in 0..2 {
        let gone = registrations.delete_directory_device(delete.clone()).await.expect("removed");
        assert_eq!(gone.into_inner().directory_id, "AAAA");
    }
    assert!(listed(&admin, false).await.is_empty());
    assert_eq!(shown(&admin, 1).await.registration, "directory:aaaa");
    let name = format!("{PARENT}/directoryDevices/{}", Uuid::nil());
    let unknown = pb::DeleteDirectoryDeviceRequest { name, ..Default::default() };
    let unknown = registrations.delete_directory_device(unknown).await;
    assert_eq!(code(unknown), Some(ErrorCode::DirectoryDeviceUnknown));
    assert_eq!(imported(&admin, &[record("AAAA", &keys)]).await, (1, 0, 0, 0), "it comes back");
    assert_eq!(listed(&admin, false).await.len(), 1);
}

#[tokio::test]
async fn a_thousand_records_are_taken_over_at_once_and_listed_in_pages() {
    let server = TestServer::start().await;
    let admin = server.admin();
    for number in 0..20 {
        trusted(&server, number, &[serial(&format!("machine-{number}"))]).await;
    }
    let records: Vec<_> =
        (0..1_000).map(|n| record(&format!("id-{n}"), &[serial(&format!("machine-{n}"))])).collect();
    assert_eq!(imported(&admin, &records).await, (1_000, 0, 20, 0));
    assert_eq!(imported(&admin, &records).await, (0, 1_000, 0, 0));
    assert_eq!(server.events().await.len(), 20 + 1_000 + 20);
    let mut request =
        pb::ListDirectoryDevicesRequest { parent: PARENT.into(), page_size: 300, ..Default::default() };
    let mut ids = Vec::new();
    loop {
        let page = admin.registrations().list_directory_devices(request.clone()).await.expect("a page");
        let page = page.into_inner();
        ids.extend(page.directory_devices.into_iter().map(|told| told.directory_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_000);
}
