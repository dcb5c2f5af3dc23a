//! Endorsement keys and their certificates.

use muster_types::{Digest, Timestamp};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, Oid};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::attestation::AttestationError;
use crate::csr::sha256;
use crate::proof::{self, AnchorCertificate, ChainError};

/// Purpose of a certificate of an endorsement key: `tcg-kp-EKCertificate`.
const PURPOSE_OID: &str = "2.23.133.8.1";
/// The same in DER.
const PURPOSE: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x01];
/// `id-RSAES-OAEP`, as which some makers write an RSA key that only decrypts.
const RSAES_OAEP: &str = "1.2.840.113549.1.1.7";

/// Public part of a TPM's endorsement key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsementKey {
    digest: Digest,
    pub(super) key: Key,
}

/// A public key that a credential can be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA with 2048 bits: modulus and exponent, big-endian.
    Rsa2048 {
        /// The modulus.
        modulus: Vec<u8>,
        /// The exponent.
        exponent: Vec<u8>,
    },
    /// A point on P-256: 4, x, y.
    P256([u8; 65]),
}

impl EndorsementKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`AttestationError::EndorsementKey`] when it is neither RSA with 2048 bits nor P-256.
    pub fn from_spki(der: &[u8]) -> Result<Self, AttestationError> {
        let (rest, spki) =
            SubjectPublicKeyInfo::from_der(der).map_err(|_| AttestationError::EndorsementKey)?;
        let key = key(&spki).filter(|_| rest.is_empty()).ok_or(AttestationError::EndorsementKey)?;
        Ok(Self { digest: sha256(der), key })
    }

    /// SHA-256 of the SubjectPublicKeyInfo: names the TPM.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn key(spki: &SubjectPublicKeyInfo<'_>) -> Option<Key> {
    let (kind, bytes) = (&spki.algorithm.algorithm, &spki.subject_public_key.data);
    if *kind == OID_PKCS1_RSAENCRYPTION || kind.to_id_string() == RSAES_OAEP {
        let (_, key) = RSAPublicKey::from_der(bytes).ok()?;
        let [modulus, exponent] = [key.modulus, key.exponent].map(unsigned);
        let sound = modulus.len() == 256 && modulus[0] & 0x80 != 0 && (1..=4).contains(&exponent.len());
        return sound.then(|| Key::Rsa2048 { modulus: modulus.to_vec(), exponent: exponent.to_vec() });
    }
    let curve = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let is_p256 = *kind == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256;
    let point = <[u8; 65]>::try_from(&bytes[..]).ok()?;
    (is_p256 && point[0] == 4).then_some(Key::P256(point))
}

/// A number without its leading zero bytes.
fn unsigned(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|byte| *byte != 0).unwrap_or(number.len())..]
}

/// Verifies that a chain leads from the certificate of an endorsement key, which comes first, to one of the anchors; tells
/// to which.
pub(super) fn verify(
    chain_der: &[Vec<u8>],
    anchors: &[AnchorCertificate],
    now: Timestamp,
) -> Result<(EndorsementKey, usize), AttestationError> {
    let chain = proof::read_chain(chain_der)?;
    let leaf = chain.first().ok_or(ChainError::Empty)?;
    check_usage(leaf)?;
    let ders: Vec<_> = chain_der.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let refused = |error: &webpki::Error| AttestationError::from(proof::chain_error(error, now));
    let end_entity = EndEntityCert::try_from(&ders[0]).map_err(|error| refused(&error))?;
    let trusted: Vec<TrustAnchor<'_>> = anchors.iter().map(|anchor| anchor.anchor().clone()).collect();
    let path = end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &trusted,
            &ders[1..],
            proof::unix_time(now),
            KeyUsage::required_if_present(PURPOSE),
            None,
            None,
        )
        .map_err(|error| refused(&error))?;
    proof::check_issuers(&path, &ders, &chain)?;
    let anchor = anchors
        .iter()
        .position(|anchor| anchor.anchor() == path.anchor())
        .expect("the path ends at one of the anchors given");
    if anchors[anchor].check_time(now).is_err() {
        return Err(ChainError::Expired { not_after: anchors[anchor].not_after(), now }.into());
    }
    Ok((EndorsementKey::from_spki(leaf.public_key().raw)?, anchor))
}

/// Checks that the certificate is of an endorsement key, and that this may be encrypted to, where it says what it may.
fn check_usage(leaf: &X509Certificate<'_>) -> Result<(), AttestationError> {
    if leaf.is_ca() {
        return Err(ChainError::LeafIsAuthority.into());
    }
    // Without it, any certificate of the same authority could pass for one.
    let purposes = leaf.extended_key_usage().map_err(|_| ChainError::NotX509 { index: 0 })?;
    let is_ek = |oid: &Oid<'_>| oid.to_id_string() == PURPOSE_OID;
    if !purposes.is_some_and(|purposes| purposes.value.other.iter().any(is_ek)) {
        return Err(AttestationError::NotEndorsement);
    }
    let usage = leaf.key_usage().map_err(|_| ChainError::NotX509 { index: 0 })?;
    if usage.is_some_and(|usage| !usage.value.key_encipherment() && !usage.value.key_agreement()) {
        return Err(ChainError::KeyUsage { index: 0, lacks: "keyEncipherment or keyAgreement" }.into());
    }
    Ok(())
}
