//! Certificates of authorities that a tenant registers.

use muster_types::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::CERTIFICATE_BYTES_MAX;
use crate::certificate::uris;

/// A certificate of an authority, fit to be believed.
#[derive(Debug, Clone)]
pub struct AnchorCertificate {
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    not_after: Timestamp,
    trust_domain: Option<String>,
}

/// Why a certificate is not fit to be a trust anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Larger than [`CERTIFICATE_BYTES_MAX`].
    #[error("it has {size_bytes} bytes, more than {CERTIFICATE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// Not X.509 version 3 in DER, or nothing that paths can be built on.
    #[error("it is not an X.509 certificate (version 3) in DER")]
    NotX509,
    /// Its basic constraints do not say that it is of an authority.
    #[error("it is not of an authority (basic constraints)")]
    NotAuthority,
    /// Its key usage does not let it sign certificates.
    #[error("it may not sign certificates (key usage)")]
    KeyUsage,
    /// Its time is over.
    #[error("it expired at {not_after}")]
    Expired {
        /// When.
        not_after: Timestamp,
    },
}

impl AnchorCertificate {
    /// Reads an authority's certificate and checks that it may sign others. Its own time is not looked at: see
    /// [`AnchorCertificate::check_time`].
    ///
    /// # Errors
    /// [`AnchorError`], but not [`AnchorError::Expired`].
    pub fn read(der: &[u8]) -> Result<Self, AnchorError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(AnchorError::TooLarge { size_bytes: der.len() });
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| AnchorError::NotX509)?;
        if !rest.is_empty() {
            return Err(AnchorError::NotX509);
        }
        if !certificate.is_ca() {
            return Err(AnchorError::NotAuthority);
        }
        let usage = certificate.key_usage().map_err(|_| AnchorError::NotX509)?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(AnchorError::KeyUsage);
        }
        let owned = CertificateDer::from(der.to_vec());
        let anchor = webpki::anchor_from_trusted_cert(&owned).map_err(|_| AnchorError::NotX509)?.to_owned();
        Ok(Self {
            anchor,
            not_after: moment(certificate.validity().not_after.timestamp()),
            trust_domain: trust_domain(&certificate),
            der: owned,
        })
    }

    /// Checks that it has not expired.
    ///
    /// # Errors
    /// [`AnchorError::Expired`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), AnchorError> {
        let not_after = self.not_after;
        if now > not_after { Err(AnchorError::Expired { not_after }) } else { Ok(()) }
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When it ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The SPIFFE trust domain it names, if it names one: then it vouches for no other.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }

    pub(crate) const fn anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }
}

pub(super) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_seconds_and_nanos(seconds, 0)
}

fn trust_domain(certificate: &X509Certificate<'_>) -> Option<String> {
    let id = uris(certificate).into_iter().find_map(|uri| uri.strip_prefix("spiffe://"))?;
    id.split('/').next().map(str::to_owned)
}
