//! Attestation against a TPM 2.0 in software (swtpm) and the tools that drive it.

use muster_pki::attestation::{Answer, Attestation as _, AttestationError, Attested, Pending, Wish};
use muster_pki::proof::{AnchorCertificate, ChainError};
use muster_pki::tpm::{self, EndorsementKey, Tpm};
use muster_types::Timestamp;

use crate::fixture::now;
use crate::soft_tpm::SoftTpm;

const CSR_DIGEST: [u8; 32] = [0xa5; 32];

fn makers(tpm: &SoftTpm) -> Vec<AnchorCertificate> {
    vec![AnchorCertificate::read(&tpm.maker()).unwrap()]
}

fn verify(
    pending: &Pending,
    secret: &[u8],
    (quote, signature): &(Vec<u8>, Vec<u8>),
) -> Result<Attested, AttestationError> {
    Tpm.verify(pending, &Answer { recovered_secret: secret, quote, signature }, &CSR_DIGEST)
}

#[test]
fn a_tpm_attests_and_nothing_else_passes_for_it() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let (chain, anchors) = (tpm.chain(), makers(&tpm));
    let ak = tpm.attestation_key("ak", "-G ecc -s ecdsa");
    let wish = Wish { chain_der: &chain, attestation_key: &ak };
    let (challenge, pending) = Tpm.challenge(&wish, &anchors, now()).unwrap();
    let secret = tpm.recover(&challenge, "ek", "ak").unwrap();
    let quote = tpm.quote("ak", &CSR_DIGEST);
    let attested = verify(&pending, &secret, &quote).unwrap();
    assert_eq!(&attested, pending.attested());
    let again = Tpm.challenge(&wish, &anchors, now()).unwrap();
    assert_ne!(again.0, challenge);
    assert_eq!(again.1.attested(), &attested, "the same hardware");
    assert_eq!(verify(&again.1, &secret, &quote), Err(AttestationError::Secret), "of another challenge");

    let other_nonce = verify(&pending, &secret, &tpm.quote("ak", &[0xa6; 32]));
    assert!(matches!(other_nonce, Err(AttestationError::Quote { .. })), "{other_nonce:?}");
    tpm.attestation_key("other", "-G ecc -s ecdsa");
    assert_eq!(verify(&pending, &secret, &tpm.quote("other", &CSR_DIGEST)), Err(AttestationError::Signature));
    assert_eq!(tpm.recover(&challenge, "ek", "other"), None, "the secret is for the one key only");
    let mut tampered = quote.clone();
    *tampered.0.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&pending, &secret, &tampered), Err(AttestationError::Signature));
    tampered = quote.clone();
    tampered.0[0] ^= 1;
    assert!(matches!(verify(&pending, &secret, &tampered), Err(AttestationError::Quote { .. })));
    for (cut, part) in [(1, "quote"), (0, "signature")] {
        let mut short = quote.clone();
        let bytes = if part == "quote" { &mut short.0 } else { &mut short.1 };
        bytes.truncate(bytes.len() - 1 - cut);
        assert!(
            matches!(verify(&pending, &secret, &short), Err(AttestationError::Malformed { .. })),
            "{part}"
        );
    }
}

#[test]
fn keys_and_certificates_that_prove_nothing_get_no_challenge() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let (chain, anchors) = (tpm.chain(), makers(&tpm));
    let ak = tpm.attestation_key("ak", "-G ecc -s ecdsa");
    let challenge = |chain_der: &[Vec<u8>], attestation_key: &[u8], anchors: &[AnchorCertificate]| {
        Tpm.challenge(&Wish { chain_der, attestation_key }, anchors, now()).map(|_| ())
    };
    assert_eq!(challenge(&chain, &ak, &anchors), Ok(()));
    assert_eq!(challenge(&chain, &ak, &[]), Err(ChainError::NoPath.into()));
    assert_eq!(challenge(&chain[..1], &ak, &anchors), Err(ChainError::NoPath.into()));
    assert_eq!(challenge(&[], &ak, &anchors), Err(ChainError::Empty.into()));
    let (_dir, trust) = crate::fixture::mk_trust();
    let key = rcgen::KeyPair::generate().unwrap();
    let device = [crate::fixture::issue(&trust, &crate::fixture::mk_id(1), &key)];
    let ours = [AnchorCertificate::read(&trust.ca_certs()[0]).unwrap()];
    assert_eq!(challenge(&device, &ak, &ours), Err(AttestationError::NotEndorsement));
    let wish = Wish { chain_der: &chain, attestation_key: &ak };
    let early = Tpm.challenge(&wish, &anchors, Timestamp::from_micros(0)).unwrap_err();
    assert!(matches!(early, AttestationError::Certificate(ChainError::NotYetValid { .. })), "{early}");

    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
    tpm.must("tpm2_createprimary", &format!("-C o -G ecc:ecdsa-sha256 -a {attributes} -c free.ctx"));
    tpm.must("tpm2_readpublic", "-c free.ctx -f tss -o free.pub");
    let free = challenge(&chain, &tpm.read("free.pub"), &anchors).unwrap_err();
    assert_eq!(free, AttestationError::AttestationKey { problem: "signs what it is given (not restricted)" });
    tpm.must("tpm2_readpublic", "-c ek.ctx -f tss -o ek.tss");
    let decrypting = challenge(&chain, &tpm.read("ek.tss"), &anchors);
    assert!(matches!(decrypting, Err(AttestationError::AttestationKey { .. })), "{decrypting:?}");
    for length in 0..ak.len() {
        let cut = challenge(&chain, &ak[..length], &anchors);
        assert!(matches!(cut, Err(AttestationError::Malformed { .. })), "{cut:?}");
    }
}

#[test]
fn every_kind_of_key_is_challenged_and_verified() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let (chain, anchors) = (tpm.chain(), makers(&tpm));
    for (name, kind) in [("rsassa", "-G rsa -s rsassa"), ("rsapss", "-G rsa -s rsapss")] {
        let ak = tpm.attestation_key(name, kind);
        let wish = Wish { chain_der: &chain, attestation_key: &ak };
        let (challenge, pending) = Tpm.challenge(&wish, &anchors, now()).unwrap();
        let secret = tpm.recover(&challenge, "ek", name).unwrap();
        verify(&pending, &secret, &tpm.quote(name, &CSR_DIGEST)).unwrap();
    }
    // Certificates of keys on P-256 are not made by the tool, so only the credential is tried.
    tpm.must("tpm2_createek", "-c ecc.ctx -G ecc -f der -u ecc.der");
    tpm.must("tpm2_createak", "-C ecc.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -f tss -u ak.pub -n ak.name");
    let ek = EndorsementKey::from_spki(&tpm.read("ecc.der")).unwrap();
    let name = tpm::name_of(&tpm.read("ak.pub")).unwrap();
    assert_eq!(name, tpm.read("ak.name"));
    let challenge = tpm::make_credential(&ek, &name, b"a secret on a curve").unwrap();
    assert_eq!(tpm.recover(&challenge, "ecc", "ak").unwrap(), b"a secret on a curve");
}
