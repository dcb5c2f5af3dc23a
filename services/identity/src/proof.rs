//! Proofs of registrations: which full registration a device shows that it has.
//!
//! A registration is known by a key that says what vouches for it, and keys are compared exactly:
//!
//! | authority | key |
//! |---|---|
//! | corporate | `x509:`, the first 16 hexadecimal digits of SHA-256 of the issuer's public key, `:`, the subject's common name, else its serial number |
//! | SPIRE | the SPIFFE ID |
//! | directory | `directory:`, the subject's common name in lower case, which must be a GUID |
//! | TPM | `tpm:`, SHA-256 of the endorsement key in hexadecimal |

use std::fmt::Write as _;
use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_pki::proof::{
    AnchorCertificate, ChainError, Leaf, PossessionError, verify_chain, verify_possession,
};
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::registration_proof::Proof;
use muster_types::{Digest, TenantId, Timestamp};
use uuid::Uuid;

use crate::domain::directory_device;
use crate::domain::registration::Proven;
use crate::domain::trust_anchor::Kind;
use crate::projection::trust_anchors::AnchorRow;
use crate::queries::Queries;

#[cfg(test)]
mod tests;

/// Join type of a device whose directory issued it a certificate and has not told of it.
const JOIN_TYPE_DEFAULT: &str = "AzureAD";
/// Longest name in a certificate that a registration may be known by, in characters.
const NAME_CHARS_MAX: usize = 256;
/// Hexadecimal digits of an issuer's key in a registration's key.
const ISSUER_HEX_CHARS: usize = 16;

/// Takes attestations of TPMs: there may be no such thing in a build.
pub trait ProofOfAttestation: Send + Sync {
    /// Verifies that a TPM attests a certificate signing request, and tells the digest of its endorsement key.
    ///
    /// # Errors
    /// `ATTESTATION_FAILED` when it does not.
    fn verify(
        &self,
        tenant: TenantId,
        proof: &pb::TpmProof,
        csr_digest: &Digest,
        now: Timestamp,
    ) -> Result<Digest, Fault>;
}

/// What proofs are verified by.
pub struct Proofs {
    queries: Queries,
    attestation: Option<Arc<dyn ProofOfAttestation>>,
}

impl Proofs {
    /// Verifies by the trust anchors that the views know and, if there is one, by what takes attestations.
    #[must_use]
    pub const fn new(queries: Queries, attestation: Option<Arc<dyn ProofOfAttestation>>) -> Self {
        Self { queries, attestation }
    }

    /// Verifies a proof that came with a certificate signing request, and tells what the registration is known by.
    ///
    /// # Errors
    /// `PROOF_INVALID`, `TENANT_MISMATCH`, `ATTESTATION_FAILED`, `ATTESTATION_UNAVAILABLE`.
    pub fn verify(
        &self,
        tenant: TenantId,
        proof: &pb::RegistrationProof,
        csr_digest: &Digest,
        now: Timestamp,
    ) -> Result<Proven, Fault> {
        match &proof.proof {
            Some(Proof::Certificate(proof)) => {
                let anchors = self.queries.all_trust_anchors();
                let shown = by_certificate(&anchors, tenant, proof, csr_digest, now)?;
                Ok(self.with_join_type(tenant, shown))
            }
            Some(Proof::Tpm(proof)) => self.by_tpm(tenant, proof, csr_digest, now),
            None => Err(Fault::invalid_field("proof", "must be set: certificate or tpm")),
        }
    }

    fn by_tpm(
        &self,
        tenant: TenantId,
        proof: &pb::TpmProof,
        csr_digest: &Digest,
        now: Timestamp,
    ) -> Result<Proven, Fault> {
        let unavailable =
            || Fault::new(ErrorCode::AttestationUnavailable, "this server takes no attestations");
        let attestation = self.attestation.as_ref().ok_or_else(unavailable)?;
        let endorsement_key = attestation.verify(tenant, proof, csr_digest, now)?;
        let registration = format!("tpm:{}", hex(&endorsement_key)).into();
        Ok(Proven { registration, join_type: Box::default() })
    }

    fn with_join_type(&self, tenant: TenantId, shown: Shown) -> Proven {
        match shown {
            Shown::Known(registration) => {
                Proven { registration: registration.into(), join_type: Box::default() }
            }
            Shown::Directory(id) => Proven {
                registration: directory_device::registration(&id).into(),
                join_type: self.queries.join_type(tenant, &id).unwrap_or_else(|| JOIN_TYPE_DEFAULT.into()),
            },
        }
    }
}

/// What a certificate shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    /// What a registration is known by.
    Known(String),
    /// The id in the directory.
    Directory(String),
}

/// A directory's certificates may come from an authority that many tenants have in common, so that one of another tenant is
/// told by its tenant and not by its issuer.
fn by_certificate(
    anchors: &[AnchorRow],
    tenant: TenantId,
    proof: &pb::CertificateProof,
    csr_digest: &Digest,
    now: Timestamp,
) -> Result<Shown, Fault> {
    let pb::CertificateProof { chain_der, signature } = proof;
    let (own, others): (Vec<_>, Vec<_>) = anchors.iter().partition(|row| row.tenant == tenant);
    let (leaf, row, certificate) = match verified(chain_der, &own, now) {
        // Of another tenant's authority: that much may be told to somebody who has a token of this one.
        Err(ChainError::NoPath) if verified(chain_der, &others, now).is_ok() => {
            return Err(mismatch("the certificate leads to a trust anchor of another tenant"));
        }
        outcome => outcome.map_err(|error| invalid(&error))?,
    };
    verify_possession(&leaf, tenant, csr_digest, signature).map_err(|error| unsigned(&error))?;
    named(&leaf, row, certificate)
}

/// The chain's device, the anchor it leads to, and which of its certificates.
fn verified<'a>(
    chain_der: &[Vec<u8>],
    anchors: &[&'a AnchorRow],
    now: Timestamp,
) -> Result<(Leaf, &'a AnchorRow, &'a AnchorCertificate), ChainError> {
    let believed = |row: &&&'a AnchorRow| row.added.kind != Kind::Tpm;
    let of = |row: &&'a AnchorRow| {
        let row = *row;
        row.certificates.iter().map(move |certificate| (row, certificate))
    };
    let (rows, certificates): (Vec<_>, Vec<_>) = anchors.iter().filter(believed).flat_map(of).unzip();
    let owned: Vec<_> =
        certificates.iter().map(|certificate: &&AnchorCertificate| (*certificate).clone()).collect();
    let leaf = verify_chain(chain_der, &owned, now)?;
    let at = leaf.anchor;
    Ok((leaf, rows[at], certificates[at]))
}

fn named(leaf: &Leaf, row: &AnchorRow, certificate: &AnchorCertificate) -> Result<Shown, Fault> {
    match row.added.kind {
        Kind::CorporateCa => corporate(leaf),
        Kind::Spire => spire(leaf, certificate),
        Kind::Directory => directory(leaf, &row.added.directory_tenant_id),
        Kind::Tpm => Err(refused("makers of TPMs issue no certificates to devices")),
    }
}

fn corporate(leaf: &Leaf) -> Result<Shown, Fault> {
    let name = leaf.common_name.as_deref().filter(|name| !name.is_empty());
    let name = name
        .or(leaf.subject_serial.as_deref())
        .filter(|name| is_name(name))
        .ok_or_else(|| refused("the certificate's subject has no common name and no serial number"))?;
    let issuer = hex(&leaf.issuer_key_digest[..ISSUER_HEX_CHARS / 2]);
    Ok(Shown::Known(format!("x509:{issuer}:{name}")))
}

fn spire(leaf: &Leaf, certificate: &AnchorCertificate) -> Result<Shown, Fault> {
    let id = leaf.only_uri().map_err(|error| invalid(&error))?;
    let path = id.strip_prefix("spiffe://").filter(|_| is_name(id));
    let (domain, path) = path
        .and_then(|id| id.split_once('/'))
        .ok_or_else(|| refused("the certificate's URI is no SPIFFE ID of a workload"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if domain.is_empty() || path.is_empty() || !id["spiffe://".len()..].chars().all(plain) {
        return Err(refused("the certificate's URI is no SPIFFE ID of a workload"));
    }
    match certificate.trust_domain() {
        Some(own) if own != domain => {
            Err(refused("the SPIFFE ID is of another trust domain than its authority"))
        }
        _ => Ok(Shown::Known(id.to_owned())),
    }
}

fn directory(leaf: &Leaf, tenant_id: &str) -> Result<Shown, Fault> {
    let named = leaf.directory_tenant_id.as_deref().unwrap_or_default();
    // A tenant in the certificate that the anchor does not name is another one just as well.
    if named != tenant_id || (tenant_id.is_empty() && leaf.directory_tenant_id.is_some()) {
        return Err(mismatch("the certificate is of another directory tenant"));
    }
    let name = leaf.common_name.as_deref().unwrap_or_default();
    let id = Uuid::try_parse(name).map_err(|_| {
        refused("the common name of a directory's certificate must be the device's id, a GUID")
    })?;
    Ok(Shown::Directory(id.hyphenated().to_string()))
}

fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to memory cannot fail");
    }
    text
}

fn refused(message: &str) -> Fault {
    Fault::new(ErrorCode::ProofInvalid, message)
}

fn mismatch(message: &str) -> Fault {
    Fault::new(ErrorCode::TenantMismatch, message)
}

fn unsigned(error: &PossessionError) -> Fault {
    refused(&error.to_string()).with("cause", "signature")
}

fn invalid(error: &ChainError) -> Fault {
    refused(&error.to_string()).with("cause", error.cause())
}
