//! Admins look at registrations and end them.

use muster_errors::ErrorCode;
use muster_pki::csr;
use muster_proto::identity::v1 as pb;
use muster_proto::policy::v1::DuplicateSessionsObserved;
use muster_types::{Aggregate, Positions, Service, StreamId, TenantId};
use uuid::Uuid;

use crate::server::{PARENT, TestDevice, TestServer, code, fault, refused};

async fn shown(server: &TestServer, device: &TestDevice) -> pb::Registration {
    let request = pb::GetRegistrationRequest { name: device.registration() };
    let admin = server.admin();
    // Another client had the device trusted.
    admin.see(&Positions::of(Service::Identity, server.log.head(Service::Identity).await.expect("a log")));
    admin.registrations().get_registration(request).await.expect("shown").into_inner()
}

fn revoke(device: &TestDevice) -> pb::RevokeTrustRequest {
    pb::RevokeTrustRequest {
        name: device.registration(),
        reason: "stolen".into(),
        request_id: Uuid::from_u128(5).to_string(),
        validate_only: false,
    }
}

async fn renews(server: &TestServer, device: &TestDevice) -> Result<(), tonic::Status> {
    renews_over(&server.device(device), device).await
}

async fn renews_over(client: &muster_client::Client, device: &TestDevice) -> Result<(), tonic::Status> {
    let csr_der = csr::create(&device.key).expect("a request");
    let wish = pb::RenewCertificateRequest { csr_der, proof: None };
    client.device_trust().renew_certificate(wish).await.map(|_| ())
}

/// Has policy see two sessions, and waits until identity has noted its suspicion.
async fn cloned(server: &TestServer, device: &TestDevice, events: usize) {
    let stream = StreamId::new(TenantId::DEFAULT, Aggregate::Session, device.id().uuid());
    let seen = DuplicateSessionsObserved { boot_ids: vec![vec![1; 16], vec![2; 16]] };
    server.append(stream, "muster.policy.v1.DuplicateSessionsObserved", &seen).await;
    assert_eq!(server.events_until(events).await.last().map(String::as_str), Some("CloneSuspected"));
}

#[tokio::test]
async fn a_registration_is_shown_and_listed_in_the_order_of_first_trust() {
    let server = TestServer::start().await;
    let (second, first) = (server.trusted_device(9).await, server.trusted_device(1).await);
    let mut admin = server.admin().registrations();
    let registration = shown(&server, &first).await;
    assert_eq!(registration.device, first.name);
    assert_eq!(registration.ordinal, 1);
    assert_eq!(registration.state(), pb::RegistrationState::Active);
    assert_eq!(registration.kind(), pb::RegistrationKind::Synthetic);
    let serial = muster_pki::peer::read(&first.chain_der[0]).expect("a certificate").serial;
    let digits: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(registration.certificate_serial, digits);

    let list = pb::ListRegistrationsRequest { parent: PARENT.into(), page_size: 1, ..Default::default() };
    let page = admin.list_registrations(list.clone()).await.expect("a page").into_inner();
    let rest = pb::ListRegistrationsRequest { page_token: page.next_page_token, ..list.clone() };
    let rest = admin.list_registrations(rest).await.expect("a page").into_inner();
    assert_eq!(page.registrations[0].device, second.name);
    assert_eq!((&rest.registrations[..], &rest.next_page_token[..]), (&[registration][..], ""));
    let full = pb::ListRegistrationsRequest { kind: pb::RegistrationKind::Full.into(), ..list };
    assert!(admin.list_registrations(full).await.expect("a page").into_inner().registrations.is_empty());
}

#[tokio::test]
async fn what_is_unknown_or_not_an_admins_is_refused() {
    let server = TestServer::start().await;
    let mut admin = server.admin().registrations();
    let name = format!("{PARENT}/registrations/{}", Uuid::nil());
    let get = pb::GetRegistrationRequest { name: name.clone() };
    assert_eq!(code(admin.get_registration(get.clone()).await), Some(ErrorCode::DeviceUnknown));
    let delete = pb::DeleteRegistrationRequest { name: name.clone(), ..Default::default() };
    let refused = fault(admin.delete_registration(delete).await).expect("refused");
    assert_eq!(refused.code, ErrorCode::DeviceUnknown);
    assert_eq!(refused.metadata.get("device"), Some(&format!("{PARENT}/devices/{}", Uuid::nil())));
    let resolve = pb::ResolveCloneRequest { name: name.clone(), ..Default::default() };
    assert_eq!(code(admin.resolve_clone(resolve).await), Some(ErrorCode::ArgumentInvalid));
    let other = pb::GetRegistrationRequest { name: format!("{PARENT}/devices/{}", Uuid::nil()) };
    assert_eq!(code(admin.get_registration(other).await), Some(ErrorCode::ArgumentInvalid));
    let device = server.trusted_device(1).await;
    for (client, expected) in [
        (server.anonymous(), ErrorCode::AdminTokenInvalid),
        (server.device(&device), ErrorCode::PermissionDenied),
    ] {
        assert_eq!(code(client.registrations().get_registration(get.clone()).await), Some(expected));
        assert_eq!(code(client.registrations().revoke_trust(revoke(&device)).await), Some(expected));
    }
}

#[tokio::test]
async fn trust_is_revoked_at_once_and_comes_back_with_a_new_onboarding() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    let client = server.device(&device);
    renews_over(&client, &device).await.expect("renewed");
    let mut admin = server.admin().registrations();
    let check = pb::RevokeTrustRequest { validate_only: true, ..revoke(&device) };
    let checked = admin.revoke_trust(check).await.expect("checked").into_inner();
    assert_eq!(checked.state(), pb::RegistrationState::Revoked);
    assert_eq!(shown(&server, &device).await.state(), pb::RegistrationState::Active);
    let done = admin.revoke_trust(revoke(&device)).await.expect("revoked").into_inner();
    assert_eq!((done.state(), &done.reason[..]), (pb::RegistrationState::Revoked, "stolen"));
    assert_eq!(admin.revoke_trust(revoke(&device)).await.expect("revoked").into_inner(), done);
    let long = pb::RevokeTrustRequest { reason: "x".repeat(257), ..revoke(&device) };
    assert_eq!(code(admin.revoke_trust(long).await), Some(ErrorCode::ArgumentInvalid));

    assert_eq!(refused(|| renews_over(&client, &device)).await.code, ErrorCode::CertificateRevoked);
    assert_eq!(server.events().await, ["TrustEstablished", "TrustRenewed", "TrustRevoked"]);
    let again = server.trusted_device(1).await;
    renews(&server, &again).await.expect("renewed");
    let back = shown(&server, &again).await;
    assert_eq!((back.state(), back.ordinal), (pb::RegistrationState::Active, 0));
}

#[tokio::test]
async fn a_deleted_registration_ends_and_starts_anew_at_its_place() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    let client = server.device(&device);
    renews_over(&client, &device).await.expect("renewed");
    let mut admin = server.admin().registrations();
    let delete = pb::DeleteRegistrationRequest { name: device.registration(), ..Default::default() };
    let deleted = admin.delete_registration(delete.clone()).await.expect("deleted").into_inner();
    assert_eq!((deleted.state(), &deleted.reason[..]), (pb::RegistrationState::Removed, "deleted"));
    admin.delete_registration(delete).await.expect("nothing to do");
    assert_eq!(refused(|| renews_over(&client, &device)).await.code, ErrorCode::DeviceDeleted);

    let list = pb::ListRegistrationsRequest { parent: PARENT.into(), ..Default::default() };
    let present = admin.list_registrations(list.clone()).await.expect("a page").into_inner();
    assert!(present.registrations.is_empty());
    let removed = pb::ListRegistrationsRequest { state: pb::RegistrationState::Removed.into(), ..list };
    let removed = admin.list_registrations(removed).await.expect("a page").into_inner();
    assert_eq!(removed.registrations, [deleted]);
    assert_eq!(server.events().await, ["TrustEstablished", "TrustRenewed", "RegistrationRemoved"]);

    let again = server.trusted_device(1).await;
    renews(&server, &again).await.expect("renewed");
    assert_eq!(shown(&server, &again).await.ordinal, 0);
}

#[tokio::test]
async fn a_quarantined_device_keeps_its_certificate_and_gets_no_other_until_that_is_resolved() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    cloned(&server, &device, 2).await;
    assert_eq!(shown(&server, &device).await.state(), pb::RegistrationState::Quarantined);
    assert_eq!(code(renews(&server, &device).await), Some(ErrorCode::DeviceQuarantined));

    let mut admin = server.admin().registrations();
    let mut resolve = pb::ResolveCloneRequest { name: device.registration(), ..Default::default() };
    resolve.set_resolution(pb::CloneResolution::Dismiss);
    let numbers = server.metrics.encode();
    let quarantined = "identity_registrations{state=\"quarantined\",kind=\"synthetic\"} 1";
    assert!(numbers.contains(quarantined), "{numbers}");
    let resolved = admin.resolve_clone(resolve.clone()).await.expect("resolved").into_inner();
    assert_eq!(resolved.state(), pb::RegistrationState::Active);
    assert_eq!(admin.resolve_clone(resolve).await.expect("resolved").into_inner(), resolved);
    renews(&server, &device).await.expect("renewed");
    assert_eq!(
        server.events().await,
        ["TrustEstablished", "CloneSuspected", "CloneResolved", "TrustRenewed"]
    );
}

#[tokio::test]
async fn neither_of_two_clones_is_believed_once_certificates_are_to_be_reissued() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    cloned(&server, &device, 2).await;
    let mut resolve = pb::ResolveCloneRequest { name: device.registration(), ..Default::default() };
    resolve.set_resolution(pb::CloneResolution::Reissue);
    let resolved =
        server.admin().registrations().resolve_clone(resolve).await.expect("resolved").into_inner();
    assert_eq!(resolved.state(), pb::RegistrationState::Revoked);
    assert_ne!(resolved.reason, "");
    assert_eq!(refused(|| renews(&server, &device)).await.code, ErrorCode::CertificateRevoked);
    let again = server.trusted_device(1).await;
    renews(&server, &again).await.expect("renewed");
}
