//! Enroll has devices trusted.

use muster_errors::ErrorCode;
use muster_proto::identity::v1 as pb;
use muster_types::Service;

use crate::server::{TestServer, code, wish};

#[tokio::test]
async fn a_device_gets_a_certificate_that_names_it_for_a_week() {
    let server = TestServer::start().await;
    let mut enroll = server.service(Service::Enroll).trust();
    let trust = enroll.establish_trust(wish(1)).await.expect("trusted").into_inner();
    assert_eq!(trust.kind(), pb::RegistrationKind::Synthetic);
    assert_eq!(
        trust.spiffe_id,
        "spiffe://muster.local/tenant/default/device/00000000-0000-0000-0000-000000000001"
    );
    let peer = muster_pki::peer::identity(&trust.certificate_chain_der[0]).expect("a SPIFFE ID");
    assert_eq!(peer.to_string(), trust.spiffe_id);
    assert_eq!(trust.trust_bundle_der.len(), 1);
    assert_eq!(server.events().await, ["TrustEstablished"]);
}

#[tokio::test]
async fn every_certificate_is_an_event() {
    let server = TestServer::start().await;
    let mut enroll = server.service(Service::Enroll).trust();
    let request = wish(1);
    let first = enroll.establish_trust(request.clone()).await.expect("trusted").into_inner();
    let again = enroll.establish_trust(request).await.expect("trusted").into_inner();
    assert_eq!(again.spiffe_id, first.spiffe_id);
    assert_ne!(again.certificate_chain_der, first.certificate_chain_der);
    assert_eq!(server.events().await, ["TrustEstablished", "TrustEstablished"]);
}

#[tokio::test]
async fn only_enroll_may_ask() {
    let server = TestServer::start().await;
    for (client, expected) in [
        (server.anonymous(), ErrorCode::CertificateRequired),
        (server.admin(), ErrorCode::PermissionDenied),
        (server.service(Service::Policy), ErrorCode::PermissionDenied),
    ] {
        assert_eq!(code(client.trust().establish_trust(wish(1)).await), Some(expected));
    }
    assert!(server.events().await.is_empty());
}

#[tokio::test]
async fn bad_input_is_refused_with_its_code_and_leaves_nothing() {
    let server = TestServer::start().await;
    let mut enroll = server.service(Service::Enroll).trust();
    let cases = [
        (pb::EstablishTrustRequest { csr_der: vec![1, 2], ..wish(1) }, ErrorCode::CsrMalformed),
        (pb::EstablishTrustRequest { device_id: vec![1], ..wish(1) }, ErrorCode::ArgumentInvalid),
        (pb::EstablishTrustRequest { tenant: "other".into(), ..wish(1) }, ErrorCode::ArgumentInvalid),
    ];
    for (request, expected) in cases {
        assert_eq!(code(enroll.establish_trust(request).await), Some(expected));
    }
    assert!(server.events().await.is_empty());
}
