//! Authorities of tests, and proofs by their certificates.

use muster_pki::csr;
use muster_pki::proof::sign_possession;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::registration_proof::Proof;
use muster_types::TenantId;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use uuid::Uuid;

use crate::server::{PARENT, TestServer};

/// An authority that a tenant may register.
pub(crate) struct TestAuthority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl TestAuthority {
    pub(crate) fn new() -> Self {
        Self::of(authority_params())
    }

    pub(crate) fn of(params: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self {
            certificate: params.self_signed(&key).expect("a certificate"),
            issuer: Issuer::new(params, key),
        }
    }

    /// A wish to register it.
    pub(crate) fn wish(&self, name: &str, kind: pb::TrustAnchorKind) -> pb::CreateTrustAnchorRequest {
        pb::CreateTrustAnchorRequest {
            parent: PARENT.into(),
            trust_anchor: Some(pb::TrustAnchor {
                display_name: name.into(),
                kind: kind.into(),
                certificates_der: vec![self.certificate.der().to_vec()],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Registers it.
    pub(crate) async fn registered(&self, server: &TestServer, kind: pb::TrustAnchorKind) -> pb::TrustAnchor {
        let created = server.admin().registrations().create_trust_anchor(self.wish("anchor", kind)).await;
        created.expect("registered").into_inner()
    }

    /// A proof of a device of that name, bound to a request.
    pub(crate) fn proof(&self, name: &str, csr_der: &[u8]) -> pb::RegistrationProof {
        self.proof_by(&named(name), csr_der)
    }

    pub(crate) fn proof_by(&self, params: &CertificateParams, csr_der: &[u8]) -> pb::RegistrationProof {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let signature = sign_possession(&key, TenantId::DEFAULT, &csr::sha256(csr_der)).expect("a signature");
        let chain_der = vec![certificate.der().to_vec()];
        let proof = pb::CertificateProof { chain_der, signature };
        pb::RegistrationProof { proof: Some(Proof::Certificate(proof)) }
    }
}

pub(crate) fn authority_params() -> CertificateParams {
    let mut params = named("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A certificate for a name.
pub(crate) fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A directory's certificate for a device of a directory tenant.
pub(crate) fn of_directory(device: &str, tenant: &str) -> CertificateParams {
    let mut params = named(device);
    let guid = Uuid::try_parse(tenant).expect("a GUID").to_bytes_le();
    let value = [&[0x04, 0x10][..], &guid].concat();
    let oid = [1, 2, 840, 113_556, 1, 5, 284, 5];
    params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, value)];
    params
}
