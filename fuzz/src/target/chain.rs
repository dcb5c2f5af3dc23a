//! Certificate chains of registered authorities. Each certificate comes after its length in two bytes.

use std::sync::LazyLock;

use muster_pki::proof::{AnchorCertificate, CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, verify_chain};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::{AUTHORITY, NOW, mk_key};

/// What is believed: ours, and a corporate one.
static ANCHORS: LazyLock<Vec<AnchorCertificate>> = LazyLock::new(|| {
    let read = |der: &[u8]| AnchorCertificate::read(der).expect("an authority");
    vec![read(AUTHORITY.certificate()), read(&ROOT.0)]
});
/// The corporate one and its key.
static ROOT: LazyLock<(Vec<u8>, Issuer<'static, KeyPair>)> = LazyLock::new(|| {
    let (params, key) = (mk_params("root", true), mk_key(2));
    let certificate = params.self_signed(&key).expect("an authority can be made");
    (certificate.der().to_vec(), Issuer::new(params, key))
});

pub(crate) fn run(bytes: &[u8]) -> bool {
    let chain = split(bytes);
    for der in &chain {
        if let Ok(anchor) = AnchorCertificate::read(der) {
            assert_eq!(anchor.der(), &der[..]);
        }
    }
    let Ok(leaf) = verify_chain(&chain, &ANCHORS, NOW) else { return false };
    assert!(leaf.anchor < ANCHORS.len() && leaf.not_after >= NOW);
    assert!((1..=CHAIN_CERTIFICATES_MAX).contains(&chain.len()));
    assert!(chain.iter().all(|der| der.len() <= CERTIFICATE_BYTES_MAX));
    // Whoever is believed is one of those that were signed: nothing unsigned of a certificate may be changed.
    assert!(SEEDED.contains(&chain[0]), "a forged certificate is believed: {leaf:?}");
    true
}

/// The devices' certificates among the seeds.
static SEEDED: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| CHAINS.iter().map(|chain| chain[0].clone()).collect());

static CHAINS: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
    let intermediate_params = mk_params("intermediate", true);
    let intermediate_key = mk_key(3);
    let intermediate = intermediate_params.signed_by(&intermediate_key, &ROOT.1).expect("it can be signed");
    let issuer = Issuer::new(intermediate_params, intermediate_key);
    let mut device = mk_params("device", false);
    device.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let direct = device.signed_by(&mk_key(4), &ROOT.1).expect("it can be signed").der().to_vec();
    let below = device.signed_by(&mk_key(5), &issuer).expect("it can be signed").der().to_vec();
    vec![vec![direct], vec![below, intermediate.der().to_vec(), ROOT.0.clone()]]
});

fn mk_params(name: &str, is_authority: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    params
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (part, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        parts.push(part.to_vec());
        bytes = rest;
    }
    parts
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let joined = |chain: &Vec<Vec<u8>>| {
        let part =
            |der: &Vec<u8>| [&u16::try_from(der.len()).unwrap_or(u16::MAX).to_be_bytes()[..], der].concat();
        chain.iter().flat_map(part).collect()
    };
    CHAINS.iter().map(joined).collect()
}
