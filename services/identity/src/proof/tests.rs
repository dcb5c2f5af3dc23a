//! What a certificate shows, by the kind of its authority.

use muster_pki::proof::sign_possession;
use muster_types::TrustAnchorId;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::domain::trust_anchor::Added;

const NOW: Timestamp = Timestamp::from_micros(1_768_089_600_000_000);
const CSR: Digest = [7; 32];
const TENANT: TenantId = TenantId::DEFAULT;
const GUID: &str = "383a3889-5bc9-47a3-846c-2b70f0b7fe0e";
const DEVICE: &str = "9F0E1D2C-0000-4000-8000-00000000000A";

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

/// An authority that a tenant registered.
struct Authority {
    row: AnchorRow,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(tenant: TenantId, kind: Kind, directory_tenant_id: &str, names: Vec<SanType>) -> Authority {
    let mut params = params("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.subject_alt_names = names;
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let added = Added {
        display_name: "authority".into(),
        kind,
        certificates_der: vec![certificate.der().to_vec()],
        directory_tenant_id: directory_tenant_id.into(),
        create_time: NOW,
        removed: false,
    };
    let row = AnchorRow::new(tenant, TrustAnchorId::from_uuid(Uuid::from_u128(1)), added);
    Authority { row, issuer: Issuer::new(params, key) }
}

impl Authority {
    fn proof(&self, params: &CertificateParams, tenant: TenantId) -> pb::CertificateProof {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let signature = sign_possession(&key, tenant, &CSR).expect("a signature");
        pb::CertificateProof { chain_der: vec![certificate.der().to_vec()], signature }
    }

    fn shown(&self, params: &CertificateParams) -> Result<Shown, (ErrorCode, String)> {
        shown(std::slice::from_ref(&self.row), &self.proof(params, TENANT))
    }
}

fn shown(anchors: &[AnchorRow], proof: &pb::CertificateProof) -> Result<Shown, (ErrorCode, String)> {
    by_certificate(anchors, TENANT, proof, &CSR, NOW).map_err(|fault| (fault.code, fault.message))
}

fn code(outcome: Result<Shown, (ErrorCode, String)>) -> Option<ErrorCode> {
    outcome.err().map(|(code, _)| code)
}

/// A device's certificate that names a directory tenant.
fn of_directory(name: &str, guid: Option<&str>) -> CertificateParams {
    let mut params = params(name);
    if let Some(guid) = guid {
        let guid = Uuid::try_parse(guid).expect("a GUID").to_bytes_le();
        let value = [&[0x04, 0x10][..], &guid].concat();
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[1, 2, 840, 113_556, 1, 5, 284, 5], value)];
    }
    params
}

#[test]
fn a_corporate_certificate_is_known_by_its_issuer_and_subject() {
    let corp = authority(TENANT, Kind::CorporateCa, "", vec![]);
    let spki = corp.issuer.key().subject_public_key_info();
    let issuer = hex(&muster_pki::csr::sha256(&spki)[..8]);
    assert_eq!(corp.shown(&params("LAPTOP-7")), Ok(Shown::Known(format!("x509:{issuer}:LAPTOP-7"))));
    let mut numbered = params("");
    numbered.distinguished_name = DistinguishedName::new();
    assert_eq!(code(corp.shown(&numbered)), Some(ErrorCode::ProofInvalid), "no name at all");
    numbered.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "SN-1");
    assert_eq!(corp.shown(&numbered), Ok(Shown::Known(format!("x509:{issuer}:SN-1"))));
    assert_eq!(code(corp.shown(&params("a\nb"))), Some(ErrorCode::ProofInvalid));
}

#[test]
fn a_workload_is_known_by_its_spiffe_id_and_only_by_its_own_trust_domain() {
    let spire = authority(TENANT, Kind::Spire, "", vec![uri("spiffe://corp.example")]);
    let named = |ids: &[&str]| {
        let mut params = params("x");
        params.subject_alt_names = ids.iter().map(|id| uri(id)).collect();
        spire.shown(&params)
    };
    let id = "spiffe://corp.example/host/7";
    assert_eq!(named(&[id]), Ok(Shown::Known(id.into())));
    let (_, message) = named(&[id, "spiffe://corp.example/host/8"]).expect_err("two");
    assert_eq!(message, "the certificate has 2 URIs among its names instead of one SPIFFE ID");
    for bad in [
        "spiffe://other.example/host/7",
        "spiffe://corp.example",
        "spiffe://corp.example/",
        "https://corp.example/host/7",
        "spiffe://corp.example/host/7?x",
        "directory:9f0e",
    ] {
        assert_eq!(code(named(&[bad])), Some(ErrorCode::ProofInvalid), "{bad}");
    }
    assert_eq!(code(named(&[])), Some(ErrorCode::ProofInvalid));
}

#[test]
fn a_directorys_certificate_is_known_by_its_guid_in_its_own_tenant() {
    let entra = authority(TENANT, Kind::Directory, GUID, vec![]);
    let id = Shown::Directory(DEVICE.to_lowercase());
    assert_eq!(entra.shown(&of_directory(DEVICE, Some(GUID))), Ok(id.clone()));
    let other = "00000000-0000-4000-8000-000000000001";
    let mismatch = Some(ErrorCode::TenantMismatch);
    assert_eq!(code(entra.shown(&of_directory(DEVICE, Some(other)))), mismatch);
    assert_eq!(code(entra.shown(&of_directory(DEVICE, None))), mismatch);
    assert_eq!(code(entra.shown(&of_directory("LAPTOP-7", Some(GUID)))), Some(ErrorCode::ProofInvalid));
    let nameless = authority(TENANT, Kind::Directory, "", vec![]);
    assert_eq!(nameless.shown(&of_directory(DEVICE, None)), Ok(id));
    assert_eq!(code(nameless.shown(&of_directory(DEVICE, Some(GUID)))), mismatch);
}

#[test]
fn a_certificate_of_another_tenants_authority_is_told_apart_from_a_strange_one() {
    let ours = authority(TENANT, Kind::CorporateCa, "", vec![]);
    let theirs = authority("other".parse().expect("a tenant"), Kind::CorporateCa, "", vec![]);
    let stranger = authority(TENANT, Kind::CorporateCa, "", vec![]);
    let anchors = [theirs.row.clone(), ours.row.clone()];
    let of = |authority: &Authority| shown(&anchors, &authority.proof(&params("x"), TENANT));
    assert!(of(&ours).is_ok());
    assert_eq!(code(of(&theirs)), Some(ErrorCode::TenantMismatch));
    assert_eq!(code(of(&stranger)), Some(ErrorCode::ProofInvalid));
    assert_eq!(code(shown(&[], &ours.proof(&params("x"), TENANT))), Some(ErrorCode::ProofInvalid));
}

#[test]
fn a_proof_is_bound_to_the_request_and_the_tenant() {
    let corp = authority(TENANT, Kind::CorporateCa, "", vec![]);
    let anchors = std::slice::from_ref(&corp.row);
    let elsewhere = corp.proof(&params("x"), "other".parse().expect("a tenant"));
    assert_eq!(code(shown(anchors, &elsewhere)), Some(ErrorCode::ProofInvalid));
    let proof = corp.proof(&params("x"), TENANT);
    let replayed = by_certificate(anchors, TENANT, &proof, &[8; 32], NOW);
    assert_eq!(replayed.map_err(|fault| fault.code), Err(ErrorCode::ProofInvalid));
}

#[test]
fn makers_of_tpms_vouch_for_no_certificate() {
    let maker = authority(TENANT, Kind::Tpm, "", vec![]);
    assert_eq!(code(maker.shown(&params("x"))), Some(ErrorCode::ProofInvalid));
}
