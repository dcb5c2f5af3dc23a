//! Chains of every kind, made by rcgen: each way to be wrong has its error.

use std::time::Duration;

use muster_types::{TenantId, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// 2026-01-11T00:00:00Z; certificates of these tests are good from the 1st to the 21st.
const NOW: Timestamp = Timestamp::from_micros(1_768_089_600_000_000);

fn day(day: u8) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + (i64::from(day) - 11) * 86_400_000_000)
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 1, 21);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

struct Ca {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn root_of(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn root() -> Self {
        Self::root_of(authority_params("root"))
    }

    fn under(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    fn anchor(&self) -> AnchorCertificate {
        AnchorCertificate::read(&self.der()).unwrap()
    }

    fn issue(&self, params: &CertificateParams) -> Vec<u8> {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().to_vec()
    }
}

fn verified(chain: &[Vec<u8>], root: &Ca) -> Result<Leaf, ChainError> {
    verify_chain(chain, &[Ca::root().anchor(), root.anchor()], NOW)
}

#[test]
fn intermediates_come_in_any_order_after_the_device() {
    let root = Ca::root();
    let upper = root.under(authority_params("upper"));
    let lower = upper.under(authority_params("lower"));
    let leaf = lower.issue(&params("laptop-7"));
    let orders = [
        vec![leaf.clone(), lower.der(), upper.der()],
        vec![leaf.clone(), upper.der(), lower.der()],
        vec![leaf, root.der(), upper.der(), lower.der()],
    ];
    for chain in orders {
        let leaf = verified(&chain, &root).unwrap();
        assert_eq!(leaf.common_name.as_deref(), Some("laptop-7"));
        assert_eq!((leaf.anchor, leaf.not_after), (1, day(21)));
        let spki = rcgen::PublicKeyData::subject_public_key_info(lower.issuer.key());
        assert_eq!(leaf.issuer_key_digest, crate::csr::sha256(&spki));
    }
    let direct = verified(&[root.issue(&params("x"))], &root).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(root.issuer.key());
    assert_eq!(direct.issuer_key_digest, crate::csr::sha256(&spki));
}

#[test]
fn a_chain_in_the_wrong_order_is_told() {
    let root = Ca::root();
    let upper = root.under(authority_params("upper"));
    let leaf = upper.issue(&params("x"));
    assert_eq!(verified(&[upper.der(), leaf], &root), Err(ChainError::WrongOrder));
    assert_eq!(verified(&[upper.der(), root.der()], &root), Err(ChainError::LeafIsAuthority));
}

#[test]
fn without_a_path_nothing_is_proven() {
    let (root, other) = (Ca::root(), Ca::root_of(authority_params("other")));
    let upper = root.under(authority_params("upper"));
    let leaf = upper.issue(&params("x"));
    assert_eq!(verified(std::slice::from_ref(&leaf), &root), Err(ChainError::NoPath), "no intermediate");
    assert_eq!(verify_chain(&[leaf.clone(), upper.der()], &[other.anchor()], NOW), Err(ChainError::NoPath));
    assert_eq!(verify_chain(&[leaf.clone(), upper.der()], &[], NOW), Err(ChainError::NoPath));
    // Another authority that calls itself the same.
    assert_eq!(verify_chain(&[leaf, upper.der()], &[Ca::root().anchor()], NOW), Err(ChainError::NoPath));
}

#[test]
fn what_is_no_certificate_is_told_with_its_place() {
    let root = Ca::root();
    let leaf = root.issue(&params("x"));
    let mut trailing = leaf.clone();
    trailing.push(0);
    assert_eq!(verified(&[], &root), Err(ChainError::Empty));
    assert_eq!(verified(&[vec![]], &root), Err(ChainError::NotX509 { index: 0 }));
    assert_eq!(verified(&[trailing], &root), Err(ChainError::NotX509 { index: 0 }));
    assert_eq!(verified(&[leaf.clone(), vec![0x30; 9]], &root), Err(ChainError::NotX509 { index: 1 }));
    let large = vec![0; CERTIFICATE_BYTES_MAX + 1];
    let too_large = ChainError::TooLarge { index: 1, size_bytes: large.len() };
    assert_eq!(verified(&[leaf.clone(), large], &root), Err(too_large));
    assert_eq!(verified(&vec![leaf; 6], &root), Err(ChainError::TooLong { found: 6 }));
}

#[test]
fn time_counts_for_the_device_its_issuers_and_the_anchor_to_the_second() {
    let root = Ca::root();
    let chain = [root.issue(&params("x"))];
    let at = |now| verify_chain(&chain, &[root.anchor()], now).map(|_| ());
    let (begin, end) = (day(1), day(21));
    assert_eq!((at(begin), at(end)), (Ok(()), Ok(())));
    let early = Timestamp::from_micros(begin.micros() - 1_000_000);
    let late = end.plus(Duration::from_secs(1));
    assert_eq!(at(early), Err(ChainError::NotYetValid { not_before: begin, now: early }));
    assert_eq!(at(late), Err(ChainError::Expired { not_after: end, now: late }));
    // A clock that is a day off, either side.
    let (behind, ahead) = (Timestamp::from_micros(begin.micros() - 86_400_000_000), end.plus(DAY));
    assert_eq!(at(behind), Err(ChainError::NotYetValid { not_before: begin, now: behind }));
    assert_eq!(at(ahead), Err(ChainError::Expired { not_after: end, now: ahead }));

    let mut short = authority_params("short");
    short.not_after = rcgen::date_time_ymd(2026, 1, 5);
    let upper = root.under(short.clone());
    let expired = Err(ChainError::Expired { not_after: day(5), now: NOW });
    assert_eq!(verified(&[upper.issue(&params("x")), upper.der()], &root), expired, "an issuer");
    let old = Ca::root_of(short);
    assert_eq!(verified(&[old.issue(&params("x"))], &old), expired, "the anchor");
    let mut later = authority_params("later");
    later.not_before = rcgen::date_time_ymd(2026, 1, 12);
    let upper = root.under(later);
    let not_yet = Err(ChainError::NotYetValid { not_before: day(12), now: NOW });
    assert_eq!(verified(&[upper.issue(&params("x")), upper.der()], &root), not_yet);
}

#[test]
fn usages_are_kept_to_where_they_are_said() {
    let root = Ca::root();
    let mut usage = params("x");
    usage.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let lacks = ChainError::KeyUsage { index: 0, lacks: "digitalSignature" };
    assert_eq!(verified(&[root.issue(&usage)], &root), Err(lacks));
    usage.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert!(verified(&[root.issue(&usage)], &root).is_ok());
    usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(verified(&[root.issue(&usage)], &root), Err(ChainError::NotForClients));

    let mut signer = authority_params("signs nothing");
    signer.key_usages = vec![KeyUsagePurpose::CrlSign];
    let upper = root.under(signer);
    let lacks = ChainError::KeyUsage { index: 1, lacks: "keyCertSign" };
    assert_eq!(verified(&[upper.issue(&params("x")), upper.der()], &root), Err(lacks));
    let mut servers = authority_params("servers only");
    servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let upper = root.under(servers);
    assert_eq!(verified(&[upper.issue(&params("x")), upper.der()], &root), Err(ChainError::NotForClients));
}

#[test]
fn constraints_of_authorities_hold() {
    let root = Ca::root();
    let mut ends_here = authority_params("ends here");
    ends_here.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let upper = root.under(ends_here);
    let lower = upper.under(authority_params("lower"));
    let chain = [lower.issue(&params("x")), lower.der(), upper.der()];
    assert_eq!(verified(&chain, &root), Err(ChainError::Constraint));
    let no_authority = root.under(params("a device"));
    let chain = [no_authority.issue(&params("x")), no_authority.der()];
    assert_eq!(verified(&chain, &root), Err(ChainError::Constraint), "a device that issues");
}

#[test]
fn a_spiffe_id_is_the_only_uri() {
    let root = Ca::root();
    let mut named = params("x");
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    named.subject_alt_names = vec![uri("spiffe://corp.example/host/7")];
    let leaf = verified(&[root.issue(&named)], &root).unwrap();
    assert_eq!(leaf.only_uri(), Ok("spiffe://corp.example/host/7"));
    named.subject_alt_names.push(uri("spiffe://corp.example/host/8"));
    let leaf = verified(&[root.issue(&named)], &root).unwrap();
    assert_eq!(leaf.only_uri(), Err(ChainError::NotOneUri { found: 2 }));
    let leaf = verified(&[root.issue(&params("x"))], &root).unwrap();
    assert_eq!(leaf.only_uri(), Err(ChainError::NotOneUri { found: 0 }));
}

/// Replaces an object identifier throughout, as if the certificate were of another kind.
fn relabelled(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut der = der.to_vec();
    let places: Vec<_> = (0..der.len()).filter(|at| der[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| der[*at..*at + to.len()].copy_from_slice(to));
    der
}

#[test]
fn unknown_algorithms_are_told() {
    const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    const NOBODYS: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x7f];
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const P239: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x06];
    let root = Ca::root();
    let leaf = root.issue(&params("x"));
    let unknown = Err(ChainError::AlgorithmUnknown);
    assert_eq!(verified(&[relabelled(&leaf, ECDSA_SHA256, NOBODYS)], &root), unknown, "signature");
    assert_eq!(verified(&[relabelled(&leaf, P256, P239)], &root), unknown, "key");
}

#[test]
fn the_directory_tenant_is_read_in_each_form() {
    const GUID: &str = "383a3889-5bc9-47a3-846c-2b70f0b7fe0e";
    let bytes: [u8; 16] = uuid::Uuid::parse_str(GUID).unwrap().to_bytes_le();
    let root = Ca::root();
    let named = |value: Vec<u8>| {
        let mut named = params("x");
        let oid = [1, 2, 840, 113_556, 1, 5, 284, 5];
        named.custom_extensions = vec![CustomExtension::from_oid_content(&oid, value)];
        verified(&[root.issue(&named)], &root).unwrap().directory_tenant_id
    };
    let guid = Some(GUID.to_owned());
    assert_eq!(named([&[0x04, 0x10][..], &bytes].concat()), guid);
    assert_eq!(named([&[0x04, 0x81, 0x10][..], &bytes].concat()), guid);
    assert_eq!(named(bytes.to_vec()), guid);
    assert_eq!(named(b"contoso".to_vec()), Some(String::new()), "no GUID fits nobody");
    assert_eq!(verified(&[root.issue(&params("x"))], &root).unwrap().directory_tenant_id, None);
}

#[test]
fn an_anchor_is_of_an_authority_that_may_sign() {
    let root = Ca::root();
    let read = |der: &[u8]| AnchorCertificate::read(der).map(|_| ());
    assert_eq!(read(b"noise"), Err(AnchorError::NotX509));
    let large = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
    assert_eq!(read(&large), Err(AnchorError::TooLarge { size_bytes: large.len() }));
    assert_eq!(read(&root.issue(&params("x"))), Err(AnchorError::NotAuthority));
    let mut crl_only = authority_params("x");
    crl_only.key_usages = vec![KeyUsagePurpose::CrlSign];
    assert_eq!(read(&Ca::root_of(crl_only).der()), Err(AnchorError::KeyUsage));
    let anchor = root.anchor();
    assert_eq!((anchor.not_after(), anchor.trust_domain()), (day(21), None));
    assert_eq!(anchor.check_time(day(21)), Ok(()));
    assert_eq!(anchor.check_time(day(22)), Err(AnchorError::Expired { not_after: day(21) }));

    let mut spire = authority_params("spire");
    spire.subject_alt_names = vec![SanType::URI("spiffe://corp.example".try_into().unwrap())];
    assert_eq!(Ca::root_of(spire).anchor().trust_domain(), Some("corp.example"));
}

#[test]
fn possession_is_shown_by_every_kind_of_key_and_bound_to_request_and_tenant() {
    let root = Ca::root();
    let other: TenantId = "other".parse().unwrap();
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf = params("x").signed_by(&key, &root.issuer).unwrap().der().to_vec();
        let leaf = verified(&[leaf], &root).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der()));
        let signature = sign_possession(&private, TenantId::DEFAULT, &[7; 32]).unwrap();
        let check =
            |tenant, digest: [u8; 32], signature: &[u8]| verify_possession(&leaf, tenant, &digest, signature);
        assert_eq!(check(TenantId::DEFAULT, [7; 32], &signature), Ok(()));
        assert_eq!(check(TenantId::DEFAULT, [8; 32], &signature), Err(PossessionError::Invalid));
        assert_eq!(check(other, [7; 32], &signature), Err(PossessionError::Invalid));
        assert_eq!(check(TenantId::DEFAULT, [7; 32], &signature[1..]), Err(PossessionError::Invalid));
        assert_eq!(check(TenantId::DEFAULT, [7; 32], &[]), Err(PossessionError::Invalid));
    }
    let noise = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&b"noise"[..]));
    assert_eq!(sign_possession(&noise, TenantId::DEFAULT, &[7; 32]), Err(PossessionError::KeyUnsupported));
}

#[test]
fn rsa_keys_show_possession_by_either_padding() {
    // A key made for this test: ring makes none of this kind.
    const KEY: &[u8] = include_bytes!("tests/rsa-2048.pk8");
    let root = Ca::root();
    let pkcs8 = PrivatePkcs8KeyDer::from(KEY);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_RSA_SHA256).unwrap();
    let leaf = params("x").signed_by(&key, &root.issuer).unwrap().der().to_vec();
    let leaf = verified(&[leaf], &root).unwrap();
    let pss = sign_possession(&PrivateKeyDer::Pkcs8(pkcs8), TenantId::DEFAULT, &[7; 32]).unwrap();
    assert_eq!(verify_possession(&leaf, TenantId::DEFAULT, &[7; 32], &pss), Ok(()));
    assert_eq!(verify_possession(&leaf, TenantId::DEFAULT, &[8; 32], &pss), Err(PossessionError::Invalid));

    let ring = ring::signature::RsaKeyPair::from_pkcs8(KEY).unwrap();
    let message = [&b"muster registration proof v1\0default\0"[..], &[7; 32]].concat();
    let mut pkcs1 = vec![0; ring.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    ring.sign(&ring::signature::RSA_PKCS1_SHA256, &random, &message, &mut pkcs1).unwrap();
    assert_eq!(verify_possession(&leaf, TenantId::DEFAULT, &[7; 32], &pkcs1), Ok(()));
    let mut sha512 = vec![0; ring.public().modulus_len()];
    ring.sign(&ring::signature::RSA_PKCS1_SHA512, &random, &message, &mut sha512).unwrap();
    let refused = verify_possession(&leaf, TenantId::DEFAULT, &[7; 32], &sha512);
    assert_eq!(refused, Err(PossessionError::Invalid), "not a digest of the contract");
}
