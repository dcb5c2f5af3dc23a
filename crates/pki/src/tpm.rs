//! Attestation by a TPM 2.0, as seen by who verifies it: pure computation, no TPM and no library of one.
//!
//! The endorsement key (EK) is the TPM's own and can only decrypt; its certificate says that the TPM is genuine. The
//! attestation key (AK) signs quotes. Only a TPM that holds both solves a credential made for EK and name of the AK
//! (TCG TPM 2.0 Library, part 1, "Credential Protection").
//!
//! Endorsement keys are those of the default templates: RSA with 2048 bits or P-256, SHA-256, AES-128 in CFB mode.

mod credential;
mod endorsement;
mod public;
mod quote;
mod wire;

use muster_types::{Digest, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

pub use credential::make_credential;
pub use endorsement::EndorsementKey;

use crate::attestation::{Answer, Attestation, AttestationError, Attested, Challenge, Pending, Wish};
use crate::proof::AnchorCertificate;
use public::PublicArea;

/// Bytes of the secret in a challenge: as many as an endorsement key with SHA-256 can carry.
pub const SECRET_BYTES: usize = 32;
/// Largest structure of a TPM that is read, in bytes.
pub const STRUCTURE_BYTES_MAX: usize = 2048;

/// Attestation by a TPM 2.0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tpm;

impl Attestation for Tpm {
    fn challenge(
        &self,
        wish: &Wish<'_>,
        anchors: &[AnchorCertificate],
        now: Timestamp,
    ) -> Result<(Challenge, Pending), AttestationError> {
        let (ek, anchor) = endorsement::verify(wish.chain_der, anchors, now)?;
        let ak = PublicArea::read(wish.attestation_key)?;
        ak.check_attests()?;
        let mut secret = vec![0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| AttestationError::Random)?;
        let challenge = make_credential(&ek, ak.name(), &secret)?;
        let attested = Attested { hardware_key_digest: ek.digest(), anchor };
        let attestation_key = wish.attestation_key.to_vec();
        Ok((challenge, Pending::new(secret, attestation_key, attested)))
    }

    fn verify(
        &self,
        pending: &Pending,
        answer: &Answer<'_>,
        csr_digest: &Digest,
    ) -> Result<Attested, AttestationError> {
        if !bool::from(pending.secret().ct_eq(answer.recovered_secret)) {
            return Err(AttestationError::Secret);
        }
        let ak = PublicArea::read(pending.attestation_key())?;
        quote::check(answer.quote, csr_digest)?;
        quote::verify_signature(&ak, answer.quote, answer.signature)?;
        Ok(pending.attested().clone())
    }
}

/// The name of an object: what a credential is bound to. For the public area of a key (`TPM2B_PUBLIC`) whose name is made
/// with SHA-256.
///
/// # Errors
/// [`AttestationError`] when the area cannot be read.
pub fn name_of(public: &[u8]) -> Result<Vec<u8>, AttestationError> {
    Ok(PublicArea::read(public)?.name().to_vec())
}
