//! Signatures of policies: Ed25519 over the DSSE pre-authentication encoding.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Characters of a key id: the first half of the hexadecimal digits of SHA-256's first 16 bytes.
const KEY_ID_CHARS: usize = 16;

/// The bytes that are signed: the DSSE pre-authentication encoding (PAE) of type and payload.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Names a public key: the first 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_id(public_key: &[u8]) -> String {
    let digest = crate::csr::sha256(public_key);
    digest[..KEY_ID_CHARS / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key that signs policies.
pub struct PolicySigner {
    key: Ed25519KeyPair,
    key_id: String,
}

/// Why a signature is refused, or a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is no Ed25519 key in PKCS #8.
    #[error("not an Ed25519 key in PKCS #8")]
    KeyMalformed,
    /// No key of that id is trusted.
    #[error("signed by key {key_id:?}, which is not trusted")]
    KeyUnknown {
        /// The id the signature names, cut to 64 characters.
        key_id: String,
    },
    /// The signature is not by that key over these bytes.
    #[error("the signature does not verify")]
    Invalid,
}

impl PolicySigner {
    /// A signer from its key in PKCS #8 DER.
    ///
    /// # Errors
    /// [`SignatureError::KeyMalformed`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SignatureError> {
        let key =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| SignatureError::KeyMalformed)?;
        let key_id = key_id(key.public_key().as_ref());
        Ok(Self { key, key_id })
    }

    /// Names the key in signatures.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key, 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// Signs a payload of a type; 64 bytes.
    #[must_use]
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> Vec<u8> {
        self.key.sign(&pae(payload_type, payload)).as_ref().to_vec()
    }
}

/// Tells the key's id and nothing of the key.
impl fmt::Debug for PolicySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySigner").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The keys whose signatures are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyVerifier {
    keys: Vec<(String, [u8; 32])>,
}

impl PolicyVerifier {
    /// Believes these public keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self { keys: keys.into_iter().map(|key| (key_id(&key), key)).collect() }
    }

    /// Checks a signature over a payload of a type.
    ///
    /// # Errors
    /// [`SignatureError::KeyUnknown`], [`SignatureError::Invalid`].
    pub fn verify(
        &self,
        payload_type: &str,
        payload: &[u8],
        key_id: &str,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let (_, key) = self
            .keys
            .iter()
            .find(|(id, _)| id == key_id)
            .ok_or_else(|| SignatureError::KeyUnknown { key_id: key_id.chars().take(64).collect() })?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&pae(payload_type, payload), signature)
            .map_err(|_| SignatureError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> PolicySigner {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        PolicySigner::from_pkcs8(key.serialized_der()).unwrap()
    }

    #[test]
    fn the_encoding_is_that_of_dsse() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn only_the_signed_bytes_by_a_trusted_key_verify() {
        let signer = signer();
        let signature = signer.sign("t", b"payload");
        let verifier = PolicyVerifier::new([signer.public_key()]);
        let check = |kind, payload, id, signature: &[u8]| verifier.verify(kind, payload, id, signature);
        assert_eq!(check("t", b"payload", signer.key_id(), &signature), Ok(()));
        assert_eq!(check("u", b"payload", signer.key_id(), &signature), Err(SignatureError::Invalid));
        assert_eq!(check("t", b"payloae", signer.key_id(), &signature), Err(SignatureError::Invalid));
        assert_eq!(check("t", b"payload", signer.key_id(), &signature[1..]), Err(SignatureError::Invalid));
        let other = self::signer();
        assert!(matches!(
            check("t", b"payload", other.key_id(), &other.sign("t", b"payload")),
            Err(SignatureError::KeyUnknown { .. })
        ));
    }

    #[test]
    fn a_key_id_is_16_hexadecimal_digits() {
        let signer = signer();
        assert_eq!(signer.key_id().len(), 16);
        assert_eq!(signer.key_id(), key_id(&signer.public_key()));
        assert_eq!(key_id(b""), "e3b0c44298fc1c14");
    }
}
