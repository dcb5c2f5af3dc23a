//! Trust bundles: the certificates of the authorities to believe, as a list in DER, in PEM, and as a SPIFFE bundle (a
//! JSON Web Key Set).

mod jwk;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::TrustDomain;
use crate::certificate::domain_of;
use crate::identity::certs_from_pem;

/// Most authorities in a bundle.
pub const AUTHORITIES_MAX: usize = 16;
/// Largest bundle read, in bytes of text.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024;
/// How often whoever keeps a copy should ask for the bundle.
pub const REFRESH_HINT: Duration = Duration::from_secs(3600);

/// Begins the line of a bundle in PEM that tells its sequence number; readers of PEM skip it.
const SEQUENCE_LINE: &str = "# sequence ";

/// The authorities of a trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    domain: TrustDomain,
    certificates: Vec<CertificateDer<'static>>,
    sequence: u64,
}

/// Why something is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Larger than [`BUNDLE_BYTES_MAX`], or more authorities than [`AUTHORITIES_MAX`].
    #[error("the bundle is larger than {BUNDLE_BYTES_MAX} bytes or {AUTHORITIES_MAX} authorities")]
    TooLarge,
    /// Neither certificates in PEM nor a JSON Web Key Set, as asked for.
    #[error("the bundle is not {expected}")]
    Malformed {
        /// What it should be.
        expected: &'static str,
    },
    /// A certificate in it cannot be used.
    #[error("certificate {number} of the bundle {problem}")]
    Certificate {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It has no authority.
    #[error("the bundle has no authority")]
    Empty,
}

impl TrustBundle {
    /// A bundle of these certificates, newest first. The sequence number grows with each change.
    ///
    /// # Errors
    /// [`BundleError`] when there are none or too many, or one cannot be read or is of another trust domain.
    pub fn new(
        domain: TrustDomain,
        certificates: Vec<CertificateDer<'static>>,
        sequence: u64,
    ) -> Result<Self, BundleError> {
        if certificates.is_empty() {
            return Err(BundleError::Empty);
        }
        if certificates.len() > AUTHORITIES_MAX {
            return Err(BundleError::TooLarge);
        }
        for (certificate, number) in certificates.iter().zip(1..) {
            let refused = |problem| BundleError::Certificate { number, problem };
            let found = domain_of(certificate).ok_or(refused("names no trust domain"))?;
            if found != domain {
                return Err(refused("is of another trust domain"));
            }
            jwk::of(certificate).ok_or(refused("has a key of an unknown kind"))?;
        }
        Ok(Self { domain, certificates, sequence })
    }

    /// The trust domain.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The certificates, newest first.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// A number that grows with each change.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The certificates in DER, newest first.
    #[must_use]
    pub fn to_der(&self) -> Vec<Vec<u8>> {
        self.certificates.iter().map(|certificate| certificate.to_vec()).collect()
    }

    /// The certificates in PEM, after a line that tells the sequence number.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let first = format!("{SEQUENCE_LINE}{}\n", self.sequence);
        self.certificates.iter().fold(first, |pem, certificate| pem + &pem_of(certificate))
    }

    /// The SPIFFE bundle: a JSON Web Key Set with one key of `use: x509-svid` for each certificate.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        let keys: Vec<Value> = self.certificates.iter().filter_map(|der| jwk::of(der)).collect();
        json!({
            "keys": keys,
            "spiffe_sequence": self.sequence,
            "spiffe_refresh_hint": REFRESH_HINT.as_secs(),
        })
        .to_string()
    }

    /// Reads a bundle in PEM; the trust domain is that of its first certificate. One without a sequence number has 0.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn from_pem(pem: &str) -> Result<Self, BundleError> {
        if pem.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        let certificates =
            certs_from_pem(pem).map_err(|_| BundleError::Malformed { expected: "certificates in PEM" })?;
        let problem = "names no trust domain";
        let domain = domain_of(&certificates[0]).ok_or(BundleError::Certificate { number: 1, problem })?;
        let sequence = pem.lines().next().and_then(|line| line.strip_prefix(SEQUENCE_LINE)?.parse().ok());
        Self::new(domain, certificates, sequence.unwrap_or(0))
    }

    /// Reads a SPIFFE bundle. Keys for another use are skipped, as SPIFFE wants it.
    ///
    /// # Errors
    /// [`BundleError`]; also when a key is not that of its certificate.
    pub fn from_jwks(domain: TrustDomain, text: &str) -> Result<Self, BundleError> {
        if text.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        let malformed = BundleError::Malformed { expected: "a JSON Web Key Set" };
        let set: Value = serde_json::from_str(text).map_err(|_| malformed.clone())?;
        let keys = set["keys"].as_array().ok_or(malformed)?;
        let ours = keys.iter().filter(|key| key["use"] == jwk::USE);
        let read = |(key, number)| {
            let problem = "is not beside its own key";
            let certificate = certificate_in(key).filter(|der| jwk::is_of(key, der));
            certificate.ok_or(BundleError::Certificate { number, problem })
        };
        let certificates = ours.zip(1..).map(read).collect::<Result<_, _>>()?;
        Self::new(domain, certificates, set["spiffe_sequence"].as_u64().unwrap_or(0))
    }
}

/// The one certificate of a key.
fn certificate_in(key: &Value) -> Option<CertificateDer<'static>> {
    let [certificate] = key["x5c"].as_array()?.as_slice() else { return None };
    STANDARD.decode(certificate.as_str()?).ok().map(CertificateDer::from)
}

/// A certificate in PEM.
pub(crate) fn pem_of(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests;
