//! A device proves by its TPM which device it is, from outside: the service over TLS, a TPM in software.

use muster_errors::ErrorCode;
use muster_pki::attestation::Challenge;
use muster_pki::csr;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::registration_proof::Proof;
use muster_types::Service;
use rcgen::KeyPair;

use crate::server::{PARENT, TestServer, code, wish};
use crate::soft_tpm::SoftTpm;

async fn register(server: &TestServer, maker: Vec<u8>) {
    let anchor = pb::TrustAnchor {
        display_name: "makers".into(),
        kind: pb::TrustAnchorKind::Tpm.into(),
        certificates_der: vec![maker],
        ..Default::default()
    };
    let wish = pb::CreateTrustAnchorRequest {
        parent: PARENT.into(),
        trust_anchor: Some(anchor),
        ..Default::default()
    };
    server.admin().registrations().create_trust_anchor(wish).await.expect("registered");
}

/// Answers a challenge for a request to be certified.
fn answer(tpm: &SoftTpm, begun: pb::BeginAttestationResponse, csr_der: &[u8]) -> pb::RegistrationProof {
    let pb::BeginAttestationResponse { challenge_id, credential_blob, encrypted_secret } = begun;
    let challenge = Challenge { credential_blob, encrypted_secret };
    let recovered_secret = tpm.recover(&challenge, "ek", "ak").expect("the secret");
    let (quote, quote_signature) = tpm.quote("ak", &csr::sha256(csr_der));
    let proof = pb::TpmProof { challenge_id, recovered_secret, quote, quote_signature };
    pb::RegistrationProof { proof: Some(Proof::Tpm(proof)) }
}

#[tokio::test]
async fn a_tpm_proves_a_full_registration_once_its_maker_is_registered() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let begin = pb::BeginAttestationRequest {
        parent: PARENT.into(),
        ek_chain_der: tpm.chain(),
        ak_public: tpm.attestation_key("ak", "-G ecc -s ecdsa"),
    };
    let server = TestServer::start().await;
    let mut attestation = server.anonymous().attestation();
    assert_eq!(code(attestation.begin_attestation(begin.clone()).await), Some(ErrorCode::AttestationFailed));
    register(&server, tpm.maker()).await;

    let [csr_der, other_csr_der] =
        [1, 2].map(|_| csr::create(&KeyPair::generate().expect("a key")).expect("a request"));
    let begun = attestation.begin_attestation(begin).await.expect("begun").into_inner();
    let proof = answer(&tpm, begun, &csr_der);
    let mut trust = server.service(Service::Enroll).trust();
    let asked = pb::IdentifyDeviceRequest {
        tenant: "default".into(),
        proof: Some(proof.clone()),
        csr_digest: csr::sha256(&csr_der).to_vec(),
    };
    let identified = trust.identify_device(asked).await.expect("identified").into_inner();
    assert!(identified.registration.starts_with("tpm:") && identified.device_id.is_empty());

    let stolen = pb::EstablishTrustRequest { csr_der: other_csr_der, proof: Some(proof.clone()), ..wish(1) };
    assert_eq!(code(trust.establish_trust(stolen).await), Some(ErrorCode::AttestationFailed));
    let wish = pb::EstablishTrustRequest { csr_der, proof: Some(proof), ..wish(1) };
    let established = trust.establish_trust(wish.clone()).await.expect("trusted").into_inner();
    assert_eq!(established.kind(), pb::RegistrationKind::Full);
    trust.establish_trust(wish).await.expect("a reply that was lost is given again");
}
