//! Devices renew their certificates, and anyone reads whom to trust.

use muster_errors::ErrorCode;
use muster_pki::{TrustBundle, csr, peer};
use muster_proto::identity::v1 as pb;
use muster_types::Service;
use rcgen::{KeyPair, PKCS_ED25519};

use crate::server::{TestDevice, TestServer, code, fault, refused};

fn wish(key: &KeyPair) -> pb::RenewCertificateRequest {
    pb::RenewCertificateRequest { csr_der: csr::create(key).expect("a request"), proof: None }
}

/// Has a device renew, with a new key.
async fn renewed(server: &TestServer, device: &TestDevice) -> TestDevice {
    let key = KeyPair::generate().expect("a key");
    let reply = server.device(device).device_trust().renew_certificate(wish(&key)).await;
    let reply = reply.expect("renewed").into_inner();
    TestDevice { name: reply.device, key, chain_der: reply.certificate_chain_der }
}

async fn activate(server: &TestServer, device: &TestDevice) -> Option<ErrorCode> {
    let request = pb::ActivateCertificateRequest {};
    code(server.device(device).device_trust().activate_certificate(request).await)
}

#[tokio::test]
async fn a_device_renews_and_the_old_certificate_is_good_until_the_new_one_is_used() {
    let server = TestServer::start().await;
    let old = server.trusted_device(1).await;
    let new = renewed(&server, &old).await;
    assert_eq!(new.name, old.name);
    let (was, is) = (peer::read(&old.chain_der[0]), peer::read(&new.chain_der[0]));
    let (was, is) = (was.expect("a certificate"), is.expect("a certificate"));
    assert_eq!(was.id, is.id);
    assert!(is.serial > was.serial, "a later one has the greater number");
    assert!(is.not_after >= was.not_after);

    // The old one still works, until the new one is used.
    let newer = renewed(&server, &old).await;
    assert_eq!(activate(&server, &newer).await, None);
    assert_eq!(activate(&server, &newer).await, None);
    for ended in [&old, &new] {
        let client = server.device(ended);
        let renew = || async { client.device_trust().renew_certificate(wish(&ended.key)).await };
        // The server learns of it from the log, a moment later.
        assert_eq!(refused(renew).await.code, ErrorCode::CertificateRevoked);
    }
    renewed(&server, &newer).await;
    let expected =
        ["TrustEstablished", "TrustRenewed", "TrustRenewed", "CertificateActivated", "TrustRenewed"];
    let events = server.events().await;
    assert_eq!(events.first().map(String::as_str), Some("TrustEstablished"));
    assert!(expected.iter().all(|kind| events.iter().any(|event| event == kind)), "{events:?}");
    assert_eq!(events.iter().filter(|kind| *kind == "CertificateActivated").count(), 1);
}

#[tokio::test]
async fn the_same_key_renews_too_and_ed25519_is_as_good_as_p_256() {
    let server = TestServer::start().await;
    let device = server.trusted_by(1, KeyPair::generate_for(&PKCS_ED25519).expect("a key")).await;
    let reply = server.device(&device).device_trust().renew_certificate(wish(&device.key)).await;
    let chain_der = reply.expect("renewed").into_inner().certificate_chain_der;
    let key = KeyPair::generate().expect("a key");
    let again = TestDevice { name: device.name, key: device.key, chain_der };
    let reply = server.device(&again).device_trust().renew_certificate(wish(&key)).await.expect("renewed");
    let reply = reply.into_inner();
    assert_eq!(reply.kind(), pb::RegistrationKind::Synthetic);
    assert_eq!(reply.trust_bundle_der, server.trust.bundle().to_der());
}

#[tokio::test]
async fn renewal_needs_a_device_and_a_sound_request() {
    let server = TestServer::start().await;
    let key = KeyPair::generate().expect("a key");
    for (client, expected) in [
        (server.anonymous(), ErrorCode::CertificateRequired),
        (server.admin(), ErrorCode::PermissionDenied),
        (server.service(Service::Policy), ErrorCode::PermissionDenied),
    ] {
        assert_eq!(code(client.device_trust().renew_certificate(wish(&key)).await), Some(expected));
        let request = pb::ActivateCertificateRequest {};
        assert_eq!(code(client.device_trust().activate_certificate(request).await), Some(expected));
    }
    let device = server.trusted_device(1).await;
    let noise = pb::RenewCertificateRequest { csr_der: vec![1, 2], proof: None };
    let refused = server.device(&device).device_trust().renew_certificate(noise).await;
    assert_eq!(code(refused), Some(ErrorCode::CsrMalformed));
    let empty = pb::RenewCertificateRequest { proof: Some(pb::RegistrationProof::default()), ..wish(&key) };
    let refused = server.device(&device).device_trust().renew_certificate(empty).await;
    assert_eq!(code(refused), Some(ErrorCode::ArgumentInvalid));
    assert_eq!(server.events().await, ["TrustEstablished"]);
}

#[tokio::test]
async fn a_device_that_renews_in_a_loop_is_told_to_wait_and_others_are_not() {
    let server = TestServer::start().await;
    let (eager, other) = (server.trusted_device(1).await, server.trusted_device(2).await);
    let client = server.device(&eager);
    for _ in 0..muster_identity::admission::RENEWALS_PER_DEVICE_MAX {
        client.device_trust().renew_certificate(wish(&eager.key)).await.expect("renewed");
    }
    let refused = fault(client.device_trust().renew_certificate(wish(&eager.key)).await).expect("refused");
    assert_eq!(refused.code, ErrorCode::Overloaded);
    renewed(&server, &other).await;
    let metrics = server.metrics.encode();
    assert!(metrics.contains("identity_renewals_refused_total{code=\"OVERLOADED\"}"), "{metrics}");
    assert!(metrics.contains("identity_certificates_issued_total{cause=\"renewed\"} 9"), "{metrics}");
}

#[tokio::test]
async fn anyone_may_read_whom_to_trust() {
    let server = TestServer::start().await;
    let bundle = server.anonymous().trust_bundle().get_trust_bundle(pb::GetTrustBundleRequest {}).await;
    let bundle = bundle.expect("a bundle").into_inner();
    let expected = server.trust.bundle();
    assert_eq!(bundle.trust_domain, "muster.local");
    assert_eq!(bundle.certificates_der, expected.to_der());
    assert_eq!(TrustBundle::from_pem(&bundle.pem).as_ref(), Ok(expected));
    let read = TrustBundle::from_jwks(expected.domain().clone(), &bundle.spiffe_jwks);
    assert_eq!(read.map(|bundle| bundle.to_der()), Ok(expected.to_der()));
}
