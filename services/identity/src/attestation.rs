//! Challenges of attestation that are out, each until it is answered or its time is over. They are kept in memory: after a
//! restart a device begins again.
//!
//! A challenge is good for one certificate signing request: asked again about the same one, the answer is the same, since
//! a device is identified first and gets its certificate then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_pki::attestation::{Answer, Attestation, AttestationError, Challenge, Pending, Wish};
use muster_pki::proof::AnchorCertificate;
use muster_proto::identity::v1 as pb;
use muster_types::{Digest, TenantId, Timestamp};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::proof::ProofOfAttestation;

#[cfg(test)]
mod tests;

/// Most challenges that are out at once.
pub const CHALLENGES_MAX: usize = 10_000;
/// Most challenges that are out for one TPM; a further one takes the place of the oldest.
pub const CHALLENGES_PER_TPM_MAX: usize = 4;
/// How long a challenge is good.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Takes attestations.
#[derive(Debug)]
pub struct Attestations {
    kind: Arc<dyn Attestation>,
    out: Mutex<Out>,
}

/// Challenges that are out.
#[derive(Debug, Default)]
struct Out {
    challenges: FxHashMap<Uuid, Held>,
    /// Those of each TPM, oldest first.
    by_tpm: FxHashMap<Digest, VecDeque<Uuid>>,
}

#[derive(Debug)]
struct Held {
    tenant: TenantId,
    pending: Pending,
    begun_at: Timestamp,
    /// The request that it proved.
    proved: Option<Digest>,
}

impl Held {
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.begun_at.plus(CHALLENGE_LIFETIME)
    }
}

impl Attestations {
    /// Takes attestations of that kind.
    #[must_use]
    pub fn new(kind: Arc<dyn Attestation>) -> Self {
        Self { kind, out: Mutex::default() }
    }

    /// What this build can take: attestations of TPMs, or none.
    #[must_use]
    pub fn of_this_build() -> Option<Arc<Self>> {
        #[cfg(feature = "tpm")]
        return Some(Arc::new(Self::new(Arc::new(muster_pki::tpm::Tpm))));
        #[cfg(not(feature = "tpm"))]
        None
    }

    /// Makes a challenge for a TPM whose certificate leads to one of the anchors, and keeps it.
    ///
    /// # Errors
    /// `ATTESTATION_FAILED`, `OVERLOADED`.
    pub fn begin(
        &self,
        tenant: TenantId,
        wish: &Wish<'_>,
        anchors: &[AnchorCertificate],
        now: Timestamp,
    ) -> Result<(Uuid, Challenge), Fault> {
        let (challenge, pending) = self.kind.challenge(wish, anchors, now).map_err(|error| failed(&error))?;
        let id = Uuid::new_v4();
        self.out.lock().hold(id, Held { tenant, pending, begun_at: now, proved: None }, now)?;
        Ok((id, challenge))
    }
}

impl ProofOfAttestation for Attestations {
    fn verify(
        &self,
        tenant: TenantId,
        proof: &pb::TpmProof,
        csr_digest: &Digest,
        now: Timestamp,
    ) -> Result<Digest, Fault> {
        let pb::TpmProof { challenge_id, recovered_secret, quote, quote_signature } = proof;
        let id = Uuid::from_slice(challenge_id).map_err(|_| unknown())?;
        let pending = self.out.lock().pending(id, tenant, csr_digest, now)?;
        let answer = Answer { recovered_secret, quote, signature: quote_signature };
        let verified = self.kind.verify(&pending, &answer, csr_digest);
        self.out.lock().used(id, csr_digest, verified.is_ok());
        Ok(verified.map_err(|error| failed(&error))?.hardware_key_digest)
    }
}

impl Out {
    fn hold(&mut self, id: Uuid, held: Held, now: Timestamp) -> Result<(), Fault> {
        let tpm = held.pending.attested().hardware_key_digest;
        let of_tpm = self.by_tpm.get(&tpm).map(VecDeque::len).unwrap_or_default();
        let oldest = self.by_tpm.get(&tpm).and_then(|ids| ids.front().copied());
        if let Some(oldest) = oldest.filter(|_| of_tpm >= CHALLENGES_PER_TPM_MAX) {
            self.forget(oldest);
        }
        if self.challenges.len() >= CHALLENGES_MAX {
            let over: Vec<_> =
                self.challenges.iter().filter(|(_, held)| held.is_over(now)).map(|(id, _)| *id).collect();
            over.into_iter().for_each(|id| self.forget(id));
        }
        if self.challenges.len() >= CHALLENGES_MAX {
            let message = format!("{CHALLENGES_MAX} attestations are under way");
            return Err(Fault::new(ErrorCode::Overloaded, message));
        }
        self.challenges.insert(id, held);
        self.by_tpm.entry(tpm).or_default().push_back(id);
        Ok(())
    }

    /// What a challenge must be answered with, if it is good for this request.
    fn pending(
        &mut self,
        id: Uuid,
        tenant: TenantId,
        csr_digest: &Digest,
        now: Timestamp,
    ) -> Result<Pending, Fault> {
        let held = self.challenges.get(&id).filter(|held| held.tenant == tenant).ok_or_else(unknown)?;
        if held.is_over(now) {
            self.forget(id);
            return Err(unknown());
        }
        if held.proved.is_some_and(|proved| proved != *csr_digest) {
            return Err(unknown());
        }
        Ok(held.pending.clone())
    }

    /// Notes how a challenge was answered. One that was answered wrongly cannot be tried again.
    fn used(&mut self, id: Uuid, csr_digest: &Digest, holds: bool) {
        if !holds {
            self.forget(id);
        } else if let Some(held) = self.challenges.get_mut(&id) {
            held.proved = Some(*csr_digest);
        }
    }

    fn forget(&mut self, id: Uuid) {
        let Some(held) = self.challenges.remove(&id) else { return };
        let tpm = held.pending.attested().hardware_key_digest;
        if let Some(ids) = self.by_tpm.get_mut(&tpm) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_tpm.remove(&tpm);
            }
        }
    }
}

fn unknown() -> Fault {
    let message = "the challenge is unknown, was used for another request, or is past its time: begin again";
    Fault::new(ErrorCode::AttestationFailed, message)
}

fn failed(error: &AttestationError) -> Fault {
    let code =
        if *error == AttestationError::Random { ErrorCode::Internal } else { ErrorCode::AttestationFailed };
    Fault::new(code, error.to_string())
}
