//! Certificate signing requests (PKCS #10): what a device sends to get a certificate, and all that is taken from it.

use muster_types::Digest;
use rcgen::KeyPair;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Largest request, in bytes.
pub const CSR_BYTES_MAX: usize = 8 * 1024;

/// A request whose signature was verified. Only the public key is kept: names, extensions and attributes that the
/// requester asked for never reach a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    spki_der: Vec<u8>,
    key_digest: Digest,
}

impl Csr {
    /// The public key as SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// SHA-256 of [`Csr::spki_der`]: names the key.
    #[must_use]
    pub const fn key_digest(&self) -> Digest {
        self.key_digest
    }
}

/// A request that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Larger than [`CSR_BYTES_MAX`].
    #[error("the certificate signing request has {size_bytes} bytes, more than {CSR_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// Not PKCS #10 in DER.
    #[error("the certificate signing request is not PKCS #10 in DER")]
    Malformed,
    /// Neither P-256 nor Ed25519.
    #[error("the key of the certificate signing request is neither P-256 nor Ed25519")]
    KeyUnsupported,
    /// The signature is not by the key in it.
    #[error("the certificate signing request is not signed by its own key")]
    NotSelfSigned,
}

/// Reads a request and verifies that it is signed by the key it carries.
///
/// # Errors
/// [`CsrError`] saying why it is refused.
pub fn parse(der: &[u8]) -> Result<Csr, CsrError> {
    if der.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge { size_bytes: der.len() });
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| CsrError::Malformed)?;
    if !rest.is_empty() {
        return Err(CsrError::Malformed);
    }
    let key = &request.certification_request_info.subject_pki;
    if !is_supported(key) {
        return Err(CsrError::KeyUnsupported);
    }
    request.verify_signature().map_err(|_| CsrError::NotSelfSigned)?;
    Ok(Csr { key_digest: sha256(key.raw), spki_der: key.raw.to_vec() })
}

/// Makes a request for a key. It names nothing: the authority decides what the certificate says.
///
/// # Errors
/// [`rcgen::Error`] when signing failed.
pub fn create(key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

fn is_supported(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return true;
    }
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve.is_some_and(|curve| curve == OID_EC_P256)
}

/// SHA-256: of a request in DER, it is what a proof is bound to.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_a_supported_key_is_read() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let csr = parse(&create(&key).unwrap()).unwrap();
            assert_eq!(csr.spki_der(), rcgen::PublicKeyData::subject_public_key_info(&key));
            assert_eq!(csr.key_digest(), sha256(csr.spki_der()));
        }
    }

    #[test]
    fn a_request_of_another_kind_of_key_is_refused() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(parse(&create(&key).unwrap()), Err(CsrError::KeyUnsupported));
    }

    #[test]
    fn a_request_signed_by_another_key_is_refused() {
        let mut der = create(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()).unwrap();
        *der.last_mut().unwrap() ^= 1;
        assert_eq!(parse(&der), Err(CsrError::NotSelfSigned));
    }

    #[test]
    fn noise_and_size_are_refused() {
        assert_eq!(parse(b""), Err(CsrError::Malformed));
        assert_eq!(parse(&[0x30; 64]), Err(CsrError::Malformed));
        let mut der = create(&KeyPair::generate().unwrap()).unwrap();
        der.push(0);
        assert_eq!(parse(&der), Err(CsrError::Malformed));
        der.resize(CSR_BYTES_MAX + 1, 0);
        assert_eq!(parse(&der), Err(CsrError::TooLarge { size_bytes: CSR_BYTES_MAX + 1 }));
    }
}
