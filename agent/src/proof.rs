//! Proving a registration that the device has already, with a certificate of the corporate authority.

use std::fs;
use std::path::{Path, PathBuf};

use muster_errors::{ErrorCode, Fault};
use muster_pki::{identity, proof};
use muster_proto::identity::v1 as pb;
use muster_types::{Digest, TenantId};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProofFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl ProofFiles {
    /// Names what stands in the files; `None` while one of them is missing.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let mut hasher = Sha256::new();
        for path in [&self.certificate, &self.key] {
            let content = read(path).ok()?;
            hasher.update((content.len() as u64).to_be_bytes());
            hasher.update(&content);
        }
        Some(hasher.finalize().into())
    }

    /// A proof bound to a certificate signing request and a tenant.
    ///
    /// # Errors
    /// `PROOF_INVALID` when the files make none.
    pub(crate) fn prove(&self, tenant: TenantId, csr_der: &[u8]) -> Result<pb::RegistrationProof, Fault> {
        let unusable = |path: &Path, problem: String| {
            Fault::new(ErrorCode::ProofInvalid, format!("{}: {problem}", path.display()))
        };
        let text = read(&self.certificate).map_err(|error| unusable(&self.certificate, error.to_string()))?;
        let chain = identity::certs_from_pem(&String::from_utf8_lossy(&text))
            .map_err(|error| unusable(&self.certificate, error.to_string()))?;
        if chain.len() > proof::CHAIN_CERTIFICATES_MAX {
            let problem = format!("more than {} certificates", proof::CHAIN_CERTIFICATES_MAX);
            return Err(unusable(&self.certificate, problem));
        }
        let text = read(&self.key).map_err(|error| unusable(&self.key, error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| unusable(&self.key, "not a private key in PEM".to_owned()))?;
        let csr_digest: Digest = Sha256::digest(csr_der).into();
        let signature = proof::sign_possession(&key, tenant, &csr_digest)
            .map_err(|error| unusable(&self.key, error.to_string()))?;
        let chain_der = chain.into_iter().map(|certificate| certificate.to_vec()).collect();
        let certificate = pb::CertificateProof { chain_der, signature };
        Ok(pb::RegistrationProof { proof: Some(pb::registration_proof::Proof::Certificate(certificate)) })
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut content = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_carries_the_chain_and_is_bound_to_request_and_tenant() {
        let dir = tempfile::tempdir().unwrap();
        let files = ProofFiles { certificate: dir.path().join("c.pem"), key: dir.path().join("k.pem") };
        assert_eq!(files.digest(), None);
        assert_eq!(files.prove(TenantId::DEFAULT, b"csr").unwrap_err().code, ErrorCode::ProofInvalid);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["host.corp".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, "no key").unwrap();
        let broken = files.digest();
        assert_eq!(files.prove(TenantId::DEFAULT, b"csr").unwrap_err().code, ErrorCode::ProofInvalid);
        fs::write(&files.key, key.serialize_pem()).unwrap();
        assert_ne!(files.digest(), broken);
        let proof = files.prove(TenantId::DEFAULT, b"csr").unwrap();
        let Some(pb::registration_proof::Proof::Certificate(proof)) = proof.proof else {
            panic!("{proof:?}")
        };
        assert_eq!(proof.chain_der, [certificate.der().to_vec()]);
        let message = [&b"muster registration proof v1\0default\0"[..], &Sha256::digest(b"csr")].concat();
        let public = rcgen::PublicKeyData::der_bytes(&key);
        ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, public)
            .verify(&message, &proof.signature)
            .unwrap();
    }
}
