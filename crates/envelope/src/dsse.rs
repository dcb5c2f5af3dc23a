//! The envelope and its signatures: Ed25519 over the DSSE pre-authentication encoding.

use muster_errors::ErrorCode;
use muster_proto::policy::v1::{Signature, SignedPolicy};
use muster_types::Digest;
use prost::Message as _;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::Refusal;

/// Largest envelope, encoded.
pub const ENVELOPE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most signatures of one envelope.
pub const SIGNATURES_MAX: usize = 8;
/// Most keys that are believed at a time; those beyond are left out.
pub const KEYS_MAX: usize = 8;
/// Bytes of a key id: the first of the key's SHA-256.
const KEY_ID_BYTES: usize = 8;

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
    sha256(public_key)[..KEY_ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Decodes an envelope.
///
/// # Errors
/// [`Refusal`] with `POLICY_MALFORMED`.
pub fn decode(bytes: &[u8]) -> Result<SignedPolicy, Refusal> {
    fits(bytes.len())?;
    SignedPolicy::decode(bytes)
        .map_err(|error| Refusal::malformed(format!("the envelope cannot be read: {error}")))
}

fn fits(bytes: usize) -> Result<(), Refusal> {
    if bytes > ENVELOPE_BYTES_MAX {
        let message = format!("the envelope has {bytes} bytes, and may have {ENVELOPE_BYTES_MAX}");
        return Err(Refusal::malformed(message));
    }
    Ok(())
}

/// The keys whose signatures are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<(String, [u8; 32])>,
}

impl Trust {
    /// Believes these public keys, at most [`KEYS_MAX`] of them.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut trust = Self::default();
        for key in keys {
            if trust.keys.len() < KEYS_MAX && trust.keys.iter().all(|(_, known)| *known != key) {
                trust.keys.push((key_id(&key), key));
            }
        }
        trust
    }

    /// The keys, each with the id that names it in signatures.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.keys.iter().map(|(id, key)| (id.as_str(), key))
    }

    /// Whether nothing is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Names the set of keys, whatever their order: SHA-256 over them, sorted.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut keys: Vec<_> = self.keys.iter().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        sha256(&keys.concat())
    }

    /// Whether a key that is believed made this signature over these bytes.
    fn made(&self, signature: &Signature, bytes: &[u8]) -> bool {
        let Signature { key_id, signature } = signature;
        let key = self.keys.iter().find(|(id, _)| id == key_id);
        key.is_some_and(|(_, key)| UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature).is_ok())
    }
}

/// What was signed, if it is of that type, and the id of the key that signed it: the first that is believed.
pub(crate) fn signed<'a>(
    envelope: &'a SignedPolicy,
    expected_type: &str,
    trust: &Trust,
) -> Result<(&'a [u8], &'a str), Refusal> {
    fits(envelope.encoded_len())?;
    let SignedPolicy { payload_type, payload, signatures } = envelope;
    if payload_type != expected_type {
        let found: String = payload_type.chars().take(128).collect();
        return Err(Refusal::malformed(format!("the payload is of type {found:?}, not {expected_type}")));
    }
    if signatures.len() > SIGNATURES_MAX {
        let message = format!("there are {} signatures, and may be {SIGNATURES_MAX}", signatures.len());
        return Err(Refusal::malformed(message));
    }
    let bytes = pae(payload_type, payload);
    match signatures.iter().find(|signature| trust.made(signature, &bytes)) {
        Some(signature) => Ok((payload, &signature.key_id)),
        None => Err(unsigned(signatures, trust)),
    }
}

/// Says why none of the signatures is good.
fn unsigned(signatures: &[Signature], trust: &Trust) -> Refusal {
    let known = |signature: &&Signature| trust.keys.iter().any(|(id, _)| *id == signature.key_id);
    let message = match signatures {
        [] => "there is no signature".to_owned(),
        _ => match signatures.iter().find(known) {
            Some(signature) => format!("the signature of key {} does not verify", signature.key_id),
            None => {
                let ids: Vec<String> =
                    signatures.iter().map(|by| by.key_id.chars().take(64).collect()).collect();
                format!("it is signed by key {}, which is not trusted", ids.join(", "))
            }
        },
    };
    Refusal::new(ErrorCode::PolicyUnsigned, message)
}
