//! Admins register authorities, and devices prove themselves by them.

use muster_errors::ErrorCode;
use muster_eventlog::command::State as _;
use muster_identity::domain::trust_anchor::{Event, Kind, TrustAnchor};
use muster_pki::csr;
use muster_proto::identity::v1 as pb;
use muster_types::{Aggregate, Service, StreamId, Timestamp};
use rcgen::KeyPair;
use uuid::Uuid;

use crate::authority::{TestAuthority, authority_params, of_directory};
use crate::server::{PARENT, TestDevice, TestServer, code, device_name, fault, wish};

const GUID: &str = "383a3889-5bc9-47a3-846c-2b70f0b7fe0e";
const DEVICE: &str = "9F0E1D2C-0000-4000-8000-00000000000A";

fn csr() -> Vec<u8> {
    csr::create(&KeyPair::generate().expect("a key")).expect("a request")
}

/// A device that enroll let in with a proof.
fn proven(number: u128, proof: impl Fn(&[u8]) -> pb::RegistrationProof) -> pb::EstablishTrustRequest {
    let csr_der = csr();
    let proof = Some(proof(&csr_der));
    pb::EstablishTrustRequest { csr_der, proof, ..wish(number) }
}

async fn shown(server: &TestServer, number: u128) -> pb::Registration {
    let name = device_name(number).replace("devices", "registrations");
    let request = pb::GetRegistrationRequest { name };
    server.admin().registrations().get_registration(request).await.expect("shown").into_inner()
}

/// Has a device renew with a proof; tells its name and what it rests on.
async fn renewed(
    server: &TestServer,
    device: &TestDevice,
    proof: impl Fn(&[u8]) -> pb::RegistrationProof,
) -> Result<(String, pb::RegistrationKind), tonic::Status> {
    let csr_der = csr::create(&device.key).expect("a request");
    let wish = pb::RenewCertificateRequest { proof: Some(proof(&csr_der)), csr_der };
    let reply = server.device(device).device_trust().renew_certificate(wish).await?.into_inner();
    Ok((reply.device.clone(), reply.kind()))
}

#[tokio::test]
async fn an_authority_is_registered_listed_and_removed() {
    let server = TestServer::start().await;
    let mut admin = server.admin().registrations();
    let authority = TestAuthority::new();
    let mut wish = authority.wish("Corp", pb::TrustAnchorKind::CorporateCa);
    wish.request_id = Uuid::from_u128(1).to_string();
    let rehearsed = pb::CreateTrustAnchorRequest { validate_only: true, ..wish.clone() };
    admin.create_trust_anchor(rehearsed).await.expect("it would be");
    assert!(server.events().await.is_empty());

    let made = admin.create_trust_anchor(wish.clone()).await.expect("registered").into_inner();
    assert_eq!(admin.create_trust_anchor(wish).await.expect("told again").into_inner(), made);
    assert_eq!(made.display_name, "Corp");
    assert_eq!(made.kind(), pb::TrustAnchorKind::CorporateCa);
    assert!(made.not_after.is_some() && made.create_time.is_some());
    let namesake = authority.wish("Corp", pb::TrustAnchorKind::Spire);
    assert_eq!(code(admin.create_trust_anchor(namesake).await), Some(ErrorCode::NameTaken));
    admin.create_trust_anchor(authority.wish("Other", pb::TrustAnchorKind::Spire)).await.expect("registered");

    let list = pb::ListTrustAnchorsRequest { parent: PARENT.into(), page_size: 1, ..Default::default() };
    let page = admin.list_trust_anchors(list.clone()).await.expect("a page").into_inner();
    let rest = pb::ListTrustAnchorsRequest { page_token: page.next_page_token, ..list };
    let rest = admin.list_trust_anchors(rest).await.expect("a page").into_inner();
    let mut names: Vec<_> =
        page.trust_anchors.iter().chain(&rest.trust_anchors).map(|anchor| &anchor.display_name).collect();
    names.sort_unstable();
    assert_eq!(names, ["Corp", "Other"]);
    assert_eq!(rest.next_page_token, "");

    let delete = pb::DeleteTrustAnchorRequest { name: made.name.clone(), ..Default::default() };
    let gone = admin.delete_trust_anchor(delete.clone()).await.expect("removed").into_inner();
    assert_eq!(gone.display_name, "Corp");
    admin.delete_trust_anchor(delete).await.expect("told again");
    let name = format!("{PARENT}/trustAnchors/{}", Uuid::nil());
    let unknown = pb::DeleteTrustAnchorRequest { name, ..Default::default() };
    assert_eq!(code(admin.delete_trust_anchor(unknown).await), Some(ErrorCode::TrustAnchorUnknown));
    // Its name is free again.
    admin.create_trust_anchor(authority.wish("Corp", pb::TrustAnchorKind::Spire)).await.expect("registered");
    let expected = ["TrustAnchorAdded", "TrustAnchorAdded", "TrustAnchorRemoved", "TrustAnchorAdded"];
    assert_eq!(server.events().await, expected);
    let wish = authority.wish("X", pb::TrustAnchorKind::Spire);
    let refused = server.anonymous().registrations().create_trust_anchor(wish).await;
    assert_eq!(code(refused), Some(ErrorCode::AdminTokenInvalid));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_an_anchor_is_named() {
    let server = TestServer::start().await;
    let mut admin = server.admin().registrations();
    let sound = TestAuthority::new();
    let mut expired = authority_params();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let bad: Vec<(Vec<u8>, &str)> = vec![
        (b"noise".to_vec(), "it is not an X.509 certificate (version 3) in DER"),
        (
            TestAuthority::of(crate::authority::named("a device")).certificate.der().to_vec(),
            "it is not of an authority (basic constraints)",
        ),
        (TestAuthority::of(expired).certificate.der().to_vec(), "it expired at 2020-01-01T00:00:00.000000Z"),
        (vec![0x30; 16 * 1024 + 1], "it has 16385 bytes, more than 16384"),
    ];
    for (der, problem) in bad {
        let mut wish = sound.wish("Corp", pb::TrustAnchorKind::CorporateCa);
        let anchor = wish.trust_anchor.as_mut().expect("an anchor");
        anchor.certificates_der.push(der);
        let refused = fault(admin.create_trust_anchor(wish).await).expect("refused");
        assert_eq!(refused.code, ErrorCode::TrustAnchorInvalid);
        assert_eq!(refused.fields[0].field, "trust_anchor.certificates_der[1]");
        assert_eq!(refused.fields[0].description, problem);
    }
    let mut none = sound.wish("Corp", pb::TrustAnchorKind::Unspecified);
    assert_eq!(code(admin.create_trust_anchor(none.clone()).await), Some(ErrorCode::ArgumentInvalid));
    none.trust_anchor = None;
    assert_eq!(code(admin.create_trust_anchor(none).await), Some(ErrorCode::ArgumentInvalid));
    assert!(server.events().await.is_empty());
}

#[tokio::test]
async fn a_device_that_proves_itself_gets_a_full_registration_and_is_found_by_it() {
    let server = TestServer::start().await;
    let corp = TestAuthority::new();
    corp.registered(&server, pb::TrustAnchorKind::CorporateCa).await;
    let mut enroll = server.service(Service::Enroll).trust();
    let request = proven(1, |csr| corp.proof("LAPTOP-7", csr));
    let identify = pb::IdentifyDeviceRequest {
        tenant: "default".into(),
        proof: request.proof.clone(),
        csr_digest: csr::sha256(&request.csr_der).to_vec(),
    };
    let found = enroll.identify_device(identify.clone()).await.expect("proven").into_inner();
    assert!(found.device_id.is_empty() && found.registration.ends_with(":LAPTOP-7"), "{found:?}");
    let trust = enroll.establish_trust(request).await.expect("trusted").into_inner();
    assert_eq!(trust.kind(), pb::RegistrationKind::Full);
    let known = enroll.identify_device(identify).await.expect("proven").into_inner();
    assert_eq!(known.device_id, Uuid::from_u128(1).as_bytes().to_vec());
    assert_eq!(shown(&server, 1).await.registration, found.registration);

    // Another device cannot have it too.
    let other = proven(2, |csr| corp.proof("LAPTOP-7", csr));
    assert_eq!(code(enroll.establish_trust(other).await), Some(ErrorCode::RegistrationTaken));
}

#[tokio::test]
async fn a_synthetic_registration_is_promoted_when_the_device_renews_with_a_proof() {
    let server = TestServer::start().await;
    let device = server.trusted_device(1).await;
    let entra = TestAuthority::new();
    let mut wish = entra.wish("Entra", pb::TrustAnchorKind::Directory);
    wish.trust_anchor.as_mut().expect("an anchor").directory_tenant_id = GUID.into();
    server.admin().registrations().create_trust_anchor(wish).await.expect("registered");
    let proof = |csr: &[u8]| entra.proof_by(&of_directory(DEVICE, GUID), csr);
    let (name, kind) = renewed(&server, &device, proof).await.expect("renewed");
    assert_eq!((name, kind), (device.name.clone(), pb::RegistrationKind::Full));
    let registration = shown(&server, 1).await;
    assert_eq!(registration.registration, format!("directory:{}", DEVICE.to_lowercase()));
    assert_eq!(registration.join_type, "AzureAD");

    // A second device with the same proof is that one, and ends.
    let double = server.trusted_device(2).await;
    let (name, _) = renewed(&server, &double, proof).await.expect("renewed");
    assert_eq!(name, device.name);
    assert_eq!(shown(&server, 2).await.state(), pb::RegistrationState::Removed);

    let elsewhere = "00000000-0000-4000-8000-000000000001";
    let third = server.trusted_device(3).await;
    let foreign = renewed(&server, &third, |csr| entra.proof_by(&of_directory(DEVICE, elsewhere), csr)).await;
    assert_eq!(code(foreign), Some(ErrorCode::TenantMismatch));
}

#[tokio::test]
async fn a_proof_of_another_tenants_authority_is_a_tenant_mismatch() {
    let server = TestServer::start().await;
    let (ours, theirs, stranger) = (TestAuthority::new(), TestAuthority::new(), TestAuthority::new());
    ours.registered(&server, pb::TrustAnchorKind::CorporateCa).await;
    let added = Event::Added {
        display_name: "Theirs".into(),
        kind: Kind::CorporateCa,
        certificates_der: vec![theirs.certificate.der().to_vec()],
        directory_tenant_id: String::new(),
        at: Timestamp::from_micros(0),
    };
    let (_, payload) = TrustAnchor::encode(&added);
    let message: pb::TrustAnchorAdded = prost::Message::decode(&payload[..]).expect("a message");
    let stream =
        StreamId::new("other".parse().expect("a tenant"), Aggregate::TrustAnchor, Uuid::from_u128(9));
    server.append(stream, "muster.identity.v1.TrustAnchorAdded", &message).await;

    let mut enroll = server.service(Service::Enroll).trust();
    let foreign = proven(1, |csr| theirs.proof("LAPTOP-7", csr));
    let identify = pb::IdentifyDeviceRequest {
        tenant: "default".into(),
        proof: foreign.proof.clone(),
        csr_digest: csr::sha256(&foreign.csr_der).to_vec(),
    };
    // The view may be a moment behind what was put into the log by hand.
    let told = crate::server::refused(|| {
        let (mut enroll, identify) = (enroll.clone(), identify.clone());
        async move {
            match enroll.identify_device(identify).await {
                Err(status) if code::<()>(Err(status.clone())) == Some(ErrorCode::ProofInvalid) => Ok(()),
                outcome => outcome.map(|_| ()),
            }
        }
    });
    assert_eq!(told.await.code, ErrorCode::TenantMismatch);
    assert_eq!(code(enroll.establish_trust(foreign).await), Some(ErrorCode::TenantMismatch));
    let strange = proven(1, |csr| stranger.proof("LAPTOP-7", csr));
    let refused = fault(enroll.establish_trust(strange).await).expect("refused");
    assert_eq!(refused.code, ErrorCode::ProofInvalid);
    assert_eq!(refused.metadata.get("cause").map(String::as_str), Some("no-path"));
    let tpm = pb::registration_proof::Proof::Tpm(pb::TpmProof::default());
    let tpm = proven(1, |_| pb::RegistrationProof { proof: Some(tpm.clone()) });
    let unheard =
        if cfg!(feature = "tpm") { ErrorCode::AttestationFailed } else { ErrorCode::AttestationUnavailable };
    assert_eq!(code(enroll.establish_trust(tpm).await), Some(unheard));
    assert_eq!(server.events().await, ["TrustAnchorAdded", "TrustAnchorAdded"]);
}
