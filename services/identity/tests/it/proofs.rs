//! Devices show that they hold a registration, and become what it says.

use muster_errors::ErrorCode;
use muster_pki::csr;
use muster_pki::proof::sign_possession;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::registration_proof::Proof;
use muster_types::{Service, TenantId};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::server::{PARENT, TestDevice, TestServer, code, fault, refused, wish};

/// An authority of the company that the tenant registered.
struct Company(Issuer<'static, KeyPair>);

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Company {
    async fn registered(server: &TestServer) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("Company CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        let anchor = pb::TrustAnchor {
            display_name: "Company".into(),
            kind: pb::TrustAnchorKind::CorporateCa.into(),
            certificates_der: vec![certificate.der().to_vec()],
            ..Default::default()
        };
        let create = pb::CreateTrustAnchorRequest {
            parent: PARENT.into(),
            trust_anchor: Some(anchor),
            ..Default::default()
        };
        server.admin().registrations().create_trust_anchor(create).await.expect("registered");
        Self(Issuer::new(params, key))
    }

    /// A proof by a certificate of this name, bound to a certificate signing request.
    fn proof(&self, name: &str, csr_der: &[u8]) -> pb::RegistrationProof {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name).signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let signature = sign_possession(&key, TenantId::DEFAULT, &csr::sha256(csr_der)).expect("a signature");
        let proof = pb::CertificateProof { chain_der: vec![certificate.der().to_vec()], signature };
        pb::RegistrationProof { proof: Some(Proof::Certificate(proof)) }
    }

    fn wish(&self, number: u128, name: &str) -> pb::EstablishTrustRequest {
        let wish = wish(number);
        pb::EstablishTrustRequest { proof: Some(self.proof(name, &wish.csr_der)), ..wish }
    }

    /// Has a device renew with a proof; tells what it is now.
    async fn renew(
        &self,
        server: &TestServer,
        device: &TestDevice,
        name: &str,
    ) -> Result<(TestDevice, pb::RenewCertificateResponse), tonic::Status> {
        let key = KeyPair::generate().expect("a key");
        let csr_der = csr::create(&key).expect("a request");
        let wish = pb::RenewCertificateRequest { proof: Some(self.proof(name, &csr_der)), csr_der };
        let reply = server.device(device).device_trust().renew_certificate(wish).await?.into_inner();
        let chain_der = reply.certificate_chain_der.clone();
        Ok((TestDevice { name: reply.device.clone(), key, chain_der }, reply))
    }
}

async fn shown(server: &TestServer, device: &TestDevice) -> pb::Registration {
    let request = pb::GetRegistrationRequest { name: device.registration() };
    server.admin().registrations().get_registration(request).await.expect("shown").into_inner()
}

async fn renews(server: &TestServer, device: &TestDevice) -> Result<(), tonic::Status> {
    let csr_der = csr::create(&device.key).expect("a request");
    let wish = pb::RenewCertificateRequest { csr_der, proof: None };
    server.device(device).device_trust().renew_certificate(wish).await.map(|_| ())
}

#[tokio::test]
async fn a_proof_makes_a_full_registration_which_is_of_one_device() {
    let server = TestServer::start().await;
    let company = Company::registered(&server).await;
    let mut enroll = server.service(Service::Enroll).trust();
    let first = company.wish(1, "laptop-7");
    let identify = pb::IdentifyDeviceRequest {
        tenant: "default".into(),
        proof: first.proof.clone(),
        csr_digest: csr::sha256(&first.csr_der).to_vec(),
    };
    let unknown = enroll.identify_device(identify.clone()).await.expect("identified").into_inner();
    assert!(unknown.registration.starts_with("x509:") && unknown.device_id.is_empty(), "{unknown:?}");

    let trust = enroll.establish_trust(first.clone()).await.expect("trusted").into_inner();
    assert_eq!(trust.kind(), pb::RegistrationKind::Full);
    let known = enroll.identify_device(identify.clone()).await.expect("identified").into_inner();
    assert_eq!((known.registration, &known.device_id), (unknown.registration, &first.device_id));
    let other = pb::IdentifyDeviceRequest { csr_digest: vec![1; 32], ..identify };
    assert_eq!(code(enroll.identify_device(other).await), Some(ErrorCode::ProofInvalid));

    let taken = fault(enroll.establish_trust(company.wish(2, "laptop-7")).await).expect("refused");
    assert_eq!(taken.code, ErrorCode::RegistrationTaken);
    assert_eq!(taken.metadata.get("device"), Some(&crate::server::device_name(1)));
    // The device itself may come again, also without its proof.
    enroll.establish_trust(company.wish(1, "laptop-7")).await.expect("trusted");
    let again = enroll.establish_trust(wish(1)).await.expect("trusted").into_inner();
    assert_eq!(again.kind(), pb::RegistrationKind::Full);
}

#[tokio::test]
async fn of_many_who_show_the_same_registration_at_once_one_gets_it() {
    let server = TestServer::start().await;
    let company = Company::registered(&server).await;
    let enroll = server.service(Service::Enroll);
    let calls = (1..=8).map(|number| {
        let (mut trust, wish) = (enroll.trust(), company.wish(number, "laptop-7"));
        async move { code(trust.establish_trust(wish).await) }
    });
    let outcomes = futures::future::join_all(calls).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 1, "{outcomes:?}");
    let taken = |outcome: &&Option<ErrorCode>| **outcome == Some(ErrorCode::RegistrationTaken);
    assert_eq!(outcomes.iter().filter(taken).count(), 7);
}

#[tokio::test]
async fn a_synthetic_device_that_shows_a_proof_is_promoted_and_stays_who_it_is() {
    let server = TestServer::start().await;
    let company = Company::registered(&server).await;
    let synthetic = server.trusted_device(1).await;
    assert_eq!(shown(&server, &synthetic).await.kind(), pb::RegistrationKind::Synthetic);
    let (full, reply) = company.renew(&server, &synthetic, "laptop-7").await.expect("renewed");
    assert_eq!((reply.kind(), &full.name), (pb::RegistrationKind::Full, &synthetic.name));
    let registration = shown(&server, &full).await;
    assert_eq!((registration.kind(), registration.ordinal), (pb::RegistrationKind::Full, 0));
    renews(&server, &synthetic).await.expect("the old certificate is good until the new one is used");
    company.renew(&server, &full, "laptop-7").await.expect("renewed");
    let events = server.events().await;
    assert_eq!(events[..4], ["TrustAnchorAdded", "TrustEstablished", "RegistrationPromoted", "TrustRenewed"]);
    assert_eq!(events[4..], ["TrustRenewed", "TrustRenewed"]);
}

#[tokio::test]
async fn a_device_that_shows_to_be_another_is_merged_into_it() {
    let server = TestServer::start().await;
    let company = Company::registered(&server).await;
    let mut enroll = server.service(Service::Enroll).trust();
    enroll.establish_trust(company.wish(1, "laptop-7")).await.expect("trusted");
    let duplicate = server.trusted_device(2).await;
    let (survivor, reply) = company.renew(&server, &duplicate, "laptop-7").await.expect("renewed");
    assert_eq!(survivor.name, crate::server::device_name(1));
    assert_eq!(reply.kind(), pb::RegistrationKind::Full);

    let removed = shown(&server, &duplicate).await;
    assert_eq!(removed.state(), pb::RegistrationState::Removed);
    assert_eq!(removed.reason, format!("merged into {}", survivor.name));
    let kept = shown(&server, &survivor).await;
    let serial = muster_pki::peer::read(&survivor.chain_der[0]).expect("a certificate").serial;
    assert_eq!(kept.certificate_serial, serial.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    renews(&server, &survivor).await.expect("renewed");
    let ended = refused(|| renews(&server, &duplicate)).await;
    assert!(matches!(ended.code, ErrorCode::CertificateRevoked | ErrorCode::DeviceDeleted), "{ended:?}");
    assert_eq!(server.events().await[3..5], ["RegistrationRemoved", "TrustRenewed"]);
}

#[tokio::test]
async fn a_device_is_not_merged_into_one_that_may_get_no_certificate() {
    let server = TestServer::start().await;
    let company = Company::registered(&server).await;
    let mut enroll = server.service(Service::Enroll).trust();
    enroll.establish_trust(company.wish(1, "laptop-7")).await.expect("trusted");
    let revoke = pb::RevokeTrustRequest {
        name: format!("{PARENT}/registrations/00000000-0000-0000-0000-000000000001"),
        ..Default::default()
    };
    server.admin().registrations().revoke_trust(revoke).await.expect("revoked");
    let duplicate = server.trusted_device(2).await;
    let refused = company.renew(&server, &duplicate, "laptop-7").await.map(|_| ());
    assert_eq!(code(refused), Some(ErrorCode::RegistrationTaken));
    renews(&server, &duplicate).await.expect("it stays what it is");
    assert!(!server.events().await.contains(&"RegistrationRemoved".to_owned()));
}
