//! Attestation: a device shows by its hardware which device it is. What the hardware is, is pluggable; a TPM is the one
//! there is (feature `tpm`).

use std::fmt;

use muster_types::{Digest, Timestamp};

use crate::proof::{AnchorCertificate, ChainError};

/// A kind of hardware that can attest.
///
/// A device begins with the certificate of its hardware and the public part of the key it will attest with, gets a
/// challenge that only this hardware can solve, and proves with what it solved.
pub trait Attestation: fmt::Debug + Send + Sync + 'static {
    /// Makes a challenge for the hardware of a certificate that leads to one of the anchors.
    ///
    /// # Errors
    /// [`AttestationError`].
    fn challenge(
        &self,
        wish: &Wish<'_>,
        anchors: &[AnchorCertificate],
        now: Timestamp,
    ) -> Result<(Challenge, Pending), AttestationError>;

    /// Verifies what the hardware made of a challenge, bound to a certificate signing request.
    ///
    /// # Errors
    /// [`AttestationError`].
    fn verify(
        &self,
        pending: &Pending,
        answer: &Answer<'_>,
        csr_digest: &Digest,
    ) -> Result<Attested, AttestationError>;
}

/// How a device begins.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Certificate of the hardware and its intermediates in DER.
    pub chain_der: &'a [Vec<u8>],
    /// Public part of the key to attest with, as the hardware tells it (`TPM2B_PUBLIC`).
    pub attestation_key: &'a [u8],
}

/// What the hardware must solve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The secret, encrypted (`TPM2B_ID_OBJECT`).
    pub credential_blob: Vec<u8>,
    /// What it is encrypted with, encrypted to the hardware (`TPM2B_ENCRYPTED_SECRET`).
    pub encrypted_secret: Vec<u8>,
}

/// What must be kept until the answer comes. Holds the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Pending {
    secret: Vec<u8>,
    attestation_key: Vec<u8>,
    attested: Attested,
}

impl Pending {
    /// What a kind of hardware must remember of a challenge.
    #[must_use]
    pub const fn new(secret: Vec<u8>, attestation_key: Vec<u8>, attested: Attested) -> Self {
        Self { secret, attestation_key, attested }
    }

    /// The secret that the hardware must recover.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Public part of the key to attest with.
    #[must_use]
    pub fn attestation_key(&self) -> &[u8] {
        &self.attestation_key
    }

    /// What will be attested.
    #[must_use]
    pub const fn attested(&self) -> &Attested {
        &self.attested
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("attested", &self.attested).finish_non_exhaustive()
    }
}

/// The answer to a challenge.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The secret that the hardware recovered.
    pub recovered_secret: &'a [u8],
    /// What the hardware says (`TPMS_ATTEST`); the digest of the certificate signing request is in it.
    pub quote: &'a [u8],
    /// The attestation key's signature of it (`TPMT_SIGNATURE`).
    pub signature: &'a [u8],
}

/// Hardware that attested, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// SHA-256 of its public key (SubjectPublicKeyInfo in DER; a TPM's endorsement key): names the hardware.
    pub hardware_key_digest: Digest,
    /// Which of the anchors its certificate leads to.
    pub anchor: usize,
}

/// Why an attestation does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// The certificate of the hardware is not to be believed.
    #[error("certificate of the endorsement key: {0}")]
    Certificate(#[from] ChainError),
    /// The certificate does not say that it is of an endorsement key.
    #[error("the certificate is not of an endorsement key (extended key usage 2.23.133.8.1)")]
    NotEndorsement,
    /// The hardware's key is of a kind that cannot be challenged.
    #[error("the endorsement key is neither RSA with 2048 bits nor P-256")]
    EndorsementKey,
    /// Something is not encoded as it must be.
    #[error("the {what} cannot be read")]
    Malformed {
        /// What.
        what: &'static str,
    },
    /// The attestation key is not such that its signatures prove anything.
    #[error("the attestation key {problem}")]
    AttestationKey {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The recovered secret is another.
    #[error("the recovered secret is not that of the challenge")]
    Secret,
    /// The quote is of something else.
    #[error("the quote {problem}")]
    Quote {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The quote is not signed by the attestation key.
    #[error("the quote is not signed by the attestation key")]
    Signature,
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
}
