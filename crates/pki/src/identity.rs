//! A certificate with its key.

use std::fmt;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};

/// What a peer of a TLS connection shows and proves: its chain, own certificate first, and the key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

/// A key or certificate that is no PEM or DER of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {expected}")]
pub struct MalformedPem {
    /// What was expected.
    pub expected: &'static str,
}

impl Identity {
    /// An identity from a chain and a PKCS #8 key, both in DER.
    #[must_use]
    pub fn from_der(chain: Vec<Vec<u8>>, key_pkcs8: Vec<u8>) -> Self {
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Self { chain, key: PrivatePkcs8KeyDer::from(key_pkcs8) }
    }

    /// An identity from a chain and a PKCS #8 key, both in PEM.
    ///
    /// # Errors
    /// [`MalformedPem`] saying which of both.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, MalformedPem> {
        let chain = certs_from_pem(chain)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| MalformedPem { expected: "PKCS #8 private key in PEM" })?;
        Ok(Self { chain, key })
    }

    /// The chain, own certificate first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key, for TLS.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Tells the chain's length and nothing of the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Reads certificates in PEM; at least one.
///
/// # Errors
/// [`MalformedPem`] when there is none or one is broken.
pub fn certs_from_pem(pem: &str) -> Result<Vec<CertificateDer<'static>>, MalformedPem> {
    let refused = MalformedPem { expected: "certificate in PEM" };
    let certs: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| refused)?;
    if certs.is_empty() { Err(refused) } else { Ok(certs) }
}
