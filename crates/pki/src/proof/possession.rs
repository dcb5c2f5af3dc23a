//! Signatures by which a device shows that it holds a certificate's key, bound to one signing request and tenant.

use muster_types::{Digest, TenantId};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls_pki_types::PrivateKeyDer;

use super::{Leaf, LeafKey};

/// Begins what is signed.
const CONTEXT: &[u8] = b"muster registration proof v1";

/// Largest signature, in bytes: RSA with 8,192 bits.
const SIGNATURE_BYTES_MAX: usize = 1_024;

/// The schemes by which a proof may be signed, the preferred one of each kind of key first.
const SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Why a signature proves nothing, or none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PossessionError {
    /// The signature is not by the certificate's key over this request in this tenant.
    #[error("the signature is not by the certificate's key over this request and tenant")]
    Invalid,
    /// The private key is of a kind that cannot sign proofs.
    #[error("the private key is of an unknown kind")]
    KeyUnsupported,
    /// Signing failed.
    #[error("the key did not sign")]
    NotSigned,
}

/// The bytes that are signed: the context, a zero byte, the tenant, a zero byte, and SHA-256 of the request.
fn message(tenant: TenantId, csr_digest: &Digest) -> Vec<u8> {
    [CONTEXT, &[0], tenant.as_str().as_bytes(), &[0], csr_digest].concat()
}

/// Signs a certificate signing request's digest with the key of a certificate: the counterpart of
/// [`verify_possession`].
///
/// # Errors
/// [`PossessionError::KeyUnsupported`], [`PossessionError::NotSigned`].
pub fn sign_possession(
    key: &PrivateKeyDer<'_>,
    tenant: TenantId,
    csr_digest: &Digest,
) -> Result<Vec<u8>, PossessionError> {
    let key = any_supported_type(key).map_err(|_| PossessionError::KeyUnsupported)?;
    let signer = key.choose_scheme(&SCHEMES).ok_or(PossessionError::KeyUnsupported)?;
    signer.sign(&message(tenant, csr_digest)).map_err(|_| PossessionError::NotSigned)
}

/// Verifies that the holder of a certificate's key signed a certificate signing request for a tenant: ECDSA with SHA-256
/// or SHA-384 (ASN.1), Ed25519, or RSA PSS or PKCS #1 v1.5 with SHA-256.
///
/// # Errors
/// [`PossessionError::Invalid`].
pub fn verify_possession(
    leaf: &Leaf,
    tenant: TenantId,
    csr_digest: &Digest,
    signature: &[u8],
) -> Result<(), PossessionError> {
    let (algorithms, key): ([&dyn VerificationAlgorithm; 2], _) = match &leaf.key {
        LeafKey::P256(key) => ([&signature::ECDSA_P256_SHA256_ASN1, &signature::ECDSA_P256_SHA384_ASN1], key),
        LeafKey::P384(key) => ([&signature::ECDSA_P384_SHA384_ASN1, &signature::ECDSA_P384_SHA256_ASN1], key),
        LeafKey::Ed25519(key) => ([&signature::ED25519, &signature::ED25519], key),
        LeafKey::Rsa(key) => {
            ([&signature::RSA_PSS_2048_8192_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256], key)
        }
    };
    let message = message(tenant, csr_digest);
    let verifies = |algorithm| UnparsedPublicKey::new(algorithm, key).verify(&message, signature).is_ok();
    if signature.len() <= SIGNATURE_BYTES_MAX && algorithms.into_iter().any(verifies) {
        Ok(())
    } else {
        Err(PossessionError::Invalid)
    }
}
