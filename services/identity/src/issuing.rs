//! Issuing certificates to devices.

use std::sync::Arc;
use std::time::Duration;

use muster_errors::{ErrorCode, Fault};
use muster_pki::{Authority, Csr, LocalTrust, SpiffeId, TrustBundle};
use muster_types::{DeviceId, TenantId, Timestamp};

use crate::domain::registration::{Certificate, Serial};

/// What issues certificates, and the authorities that devices must trust, as they stood when the process started: each step
/// of a rotation waits until all processes were started again.
#[derive(Debug, Clone)]
pub struct Issuing {
    authority: Arc<Authority>,
    bundle: TrustBundle,
    pem: String,
    jwks: String,
    validity: Duration,
}

/// A certificate that was issued and is in no log yet.
#[derive(Debug, Clone)]
pub struct Issued {
    /// SPIFFE ID in it.
    pub spiffe_id: String,
    /// The chain in DER, the certificate itself first.
    pub chain_der: Vec<Vec<u8>>,
    /// What events say of it.
    pub certificate: Certificate,
}

impl Issuing {
    /// Issues by the authority of a folder of trust.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when there is no authority in it.
    pub fn new(trust: &LocalTrust, validity: Duration) -> Result<Self, Fault> {
        let missing =
            || Fault::new(ErrorCode::ConfigInvalid, "identity issues certificates and needs ca.key");
        let authority = trust.authority().ok_or_else(missing)?.clone();
        let bundle = trust.bundle().clone();
        let (pem, jwks) = (bundle.to_pem(), bundle.to_jwks());
        Ok(Self { authority, bundle, pem, jwks, validity })
    }

    /// The authorities that devices must trust.
    #[must_use]
    pub const fn bundle(&self) -> &TrustBundle {
        &self.bundle
    }

    /// The same in PEM. Anyone may ask, so it is made once.
    #[must_use]
    pub fn bundle_pem(&self) -> &str {
        &self.pem
    }

    /// The same as a SPIFFE bundle, made once.
    #[must_use]
    pub fn bundle_jwks(&self) -> &str {
        &self.jwks
    }

    /// Issues a certificate to a device for the key of its request.
    ///
    /// # Errors
    /// `INTERNAL` when signing fails.
    pub fn issue(
        &self,
        (tenant, device): (TenantId, DeviceId),
        csr: &Csr,
        now: Timestamp,
    ) -> Result<Issued, Fault> {
        let not_after = now.plus(self.validity);
        let id = SpiffeId::device(self.authority.domain().clone(), tenant, device);
        let issued = self
            .authority
            .issue_device(csr, &id, now, not_after)
            .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        let serial = Serial::from_slice(&issued.serial)
            .ok_or_else(|| Fault::new(ErrorCode::Internal, "the serial number is too long"))?;
        Ok(Issued {
            spiffe_id: id.to_string(),
            chain_der: vec![issued.certificate_der],
            certificate: Certificate { key_digest: csr.key_digest(), serial, not_after },
        })
    }
}
