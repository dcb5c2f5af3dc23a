//! What signs policies: Ed25519 over the DSSE pre-authentication encoding. What verifies them is `muster-envelope`.

use std::fmt;

use muster_envelope::{Trust, key_id, pae};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key in PKCS #8")]
pub struct KeyMalformed;

/// The keys that sign policies: one or, while keys rotate, two.
pub struct PolicySigner {
    keys: Vec<Key>,
}

struct Key {
    pair: Ed25519KeyPair,
    id: String,
}

impl Key {
    fn public(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }
}

/// A signature and the key that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySignature {
    /// Names the key.
    pub key_id: String,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl PolicySigner {
    /// A signer from its key in PKCS #8 DER.
    ///
    /// # Errors
    /// [`KeyMalformed`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyMalformed> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyMalformed)?;
        let id = key_id(pair.public_key().as_ref());
        Ok(Self { keys: vec![Key { pair, id }] })
    }

    /// Signs with another's keys too, after its own.
    #[must_use]
    pub fn beside(mut self, other: Self) -> Self {
        for key in other.keys {
            if self.keys.iter().all(|known| known.id != key.id) {
                self.keys.push(key);
            }
        }
        self
    }

    /// Names the first key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.keys[0].id
    }

    /// The first key's public half, 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.keys[0].public()
    }

    /// What believes all its keys.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::new(self.keys.iter().map(Key::public))
    }

    /// Signs a payload of a type with each key.
    #[must_use]
    pub fn sign(&self, payload_type: &str, payload: &[u8]) -> Vec<PolicySignature> {
        let bytes = pae(payload_type, payload);
        let by = |Key { pair, id }: &Key| PolicySignature {
            key_id: id.clone(),
            signature: pair.sign(&bytes).as_ref().to_vec(),
        };
        self.keys.iter().map(by).collect()
    }
}

/// Tells the keys' ids and nothing of the keys.
impl fmt::Debug for PolicySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_struct("PolicySigner").field("key_ids", &ids).finish_non_exhaustive()
    }
}

/// Public Ed25519 keys in PEM, one after the other; `None` when there is none, or something else.
#[must_use]
pub fn keys_from_pem(pem: &str) -> Option<Vec<[u8; 32]>> {
    let key = |der: SubjectPublicKeyInfoDer<'_>| {
        let (_, spki) = SubjectPublicKeyInfo::from_der(&der).ok()?;
        <[u8; 32]>::try_from(spki.subject_public_key.as_ref()).ok()
    };
    let keys: Option<Vec<_>> =
        SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes()).map(|der| key(der.ok()?)).collect();
    keys.filter(|keys| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn signer() -> PolicySigner {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        PolicySigner::from_pkcs8(key.serialized_der()).unwrap()
    }

    #[test]
    fn each_key_signs_once_and_under_its_name() {
        let (first, second) = (signer(), signer());
        let expected = [first.public_key(), second.public_key()];
        let both = first.beside(second);
        let signatures = both.sign("t", b"payload");
        assert_eq!(signatures.len(), 2);
        for (PolicySignature { key_id, signature }, public) in signatures.iter().zip(expected) {
            assert_eq!(*key_id, muster_envelope::key_id(&public));
            UnparsedPublicKey::new(&ED25519, public).verify(&pae("t", b"payload"), signature).unwrap();
        }
        assert_eq!(both.trust(), Trust::new(expected));
        assert!(format!("{both:?}").contains(both.key_id()));
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        assert_eq!(PolicySigner::from_pkcs8(b"key").err(), Some(KeyMalformed));
        assert_eq!(keys_from_pem(""), None);
    }
}
