//! Proofs of registrations: which full registration a device shows that it has.

use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1 as pb;
use muster_types::{Digest, TenantId, Timestamp};

use crate::domain::registration::Proven;

/// What proofs are verified by.
#[derive(Debug, Default)]
pub struct Proofs {}

impl Proofs {
    /// Verifies a proof that came with a certificate signing request, and tells what the registration is known by.
    ///
    /// # Errors
    /// `PROOF_INVALID`, `TENANT_MISMATCH`, `ATTESTATION_FAILED`, `ATTESTATION_UNAVAILABLE`.
    pub fn verify(
        &self,
        _tenant: TenantId,
        _proof: &pb::RegistrationProof,
        _csr_digest: &Digest,
        _now: Timestamp,
    ) -> Result<Proven, Fault> {
        Err(Fault::new(ErrorCode::ProofInvalid, "no authority is registered that could vouch for the proof"))
    }
}
