//! The certificate authority.

use std::net::IpAddr;
use std::time::Duration;

use muster_types::{Service, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateDer;

use crate::certificate::{belongs, domain_of, fingerprint, is_authority};
use crate::identity::certs_from_pem;
use crate::{Csr, SpiffeId, TrustDomain, serial};

/// How far before its issue a certificate begins, for machines whose clocks are behind.
pub const BACKDATE: Duration = Duration::from_secs(3600);

/// How long a device's certificate lasts; as long, old and new authority must overlap.
pub const DEVICE_VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate in DER.
    pub certificate_der: Vec<u8>,
    /// Its serial number: [`serial::SERIAL_BYTES`] bytes that tell when it was issued.
    pub serial: Vec<u8>,
}

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The name cannot stand in a certificate.
    #[error("{name:?} cannot stand in a certificate")]
    Name {
        /// The name.
        name: String,
    },
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
    /// Encoding or signing failed.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
}

/// Why a certificate and key are no authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate cannot be read.
    #[error("there is no certificate in PEM")]
    Certificate,
    /// The key cannot be read, or is of a kind that cannot sign here.
    #[error("there is no PKCS #8 private key in PEM of P-256, P-384, Ed25519 or RSA")]
    Key,
    /// They do not belong together.
    #[error("the key is not that of the certificate")]
    Mismatch,
    /// The certificate may not issue others.
    #[error("the certificate may not issue others (no CA:TRUE, or a key usage without keyCertSign)")]
    NotAuthority,
    /// It does not say for whom it vouches.
    #[error("the certificate names no trust domain: it needs one URI name, spiffe://<trust-domain>")]
    NoTrustDomain,
}

/// A certificate authority with its key.
pub struct Authority {
    domain: TrustDomain,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority for a trust domain: signs a certificate for `key` with itself. It begins [`BACKDATE`] before
    /// `now`.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn create(
        domain: TrustDomain,
        key: KeyPair,
        now: Timestamp,
        not_after: Timestamp,
    ) -> Result<Self, IssueError> {
        // Each authority has a name of its own, so that one is not taken for its successor.
        let name = format!("Muster CA {}", &fingerprint(&key.subject_public_key_info())[..8]);
        let mut params = params(now, not_after, &name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))?];
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { domain, certificate, issuer: Issuer::new(params, key) })
    }

    /// An authority from its certificate and key.
    ///
    /// # Errors
    /// [`IssueError`] when the certificate cannot be read.
    pub fn load(
        domain: TrustDomain,
        certificate: CertificateDer<'static>,
        key: KeyPair,
    ) -> Result<Self, IssueError> {
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { domain, certificate, issuer })
    }

    /// An authority from a certificate, the first if there are several, and its PKCS #8 key, both in PEM. It vouches for
    /// the trust domain that the certificate names. Whether the certificate is over is not looked at.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let certificate =
            certs_from_pem(certificate).map_err(|_| AuthorityError::Certificate)?.swap_remove(0);
        let key = KeyPair::from_pem(key).map_err(|_| AuthorityError::Key)?;
        if !belongs(&certificate, &key) {
            return Err(AuthorityError::Mismatch);
        }
        if !is_authority(&certificate) {
            return Err(AuthorityError::NotAuthority);
        }
        let domain = domain_of(&certificate).ok_or(AuthorityError::NoTrustDomain)?;
        Self::load(domain, certificate, key).map_err(|_| AuthorityError::Certificate)
    }

    /// The trust domain it vouches for.
    #[must_use]
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Its own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Issues an X.509-SVID for the key of a request. Nothing else of the request is used.
    /// The serial number tells `now`; the certificate begins [`BACKDATE`] before.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_device(
        &self,
        csr: &Csr,
        id: &SpiffeId,
        now: Timestamp,
        not_after: Timestamp,
    ) -> Result<Issued, IssueError> {
        let mut params = params(now, not_after, "Muster device")?;
        params.subject_alt_names = vec![uri(&id.to_string())?];
        self.issue(params, csr.spki_der())
    }

    /// Issues an X.509-SVID to a service, to be shown both as a server under the names given and as a client. The serial
    /// number tells `now`; the certificate begins [`BACKDATE`] before.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_service(
        &self,
        service: Service,
        spki_der: &[u8],
        names: &Names,
        now: Timestamp,
        not_after: Timestamp,
    ) -> Result<Issued, IssueError> {
        let mut params = params(now, not_after, &format!("Muster {service}"))?;
        let id = SpiffeId::service(self.domain.clone(), service);
        params.subject_alt_names = vec![uri(&id.to_string())?];
        for name in &names.dns {
            let dns = name.as_str().try_into().map_err(|_| IssueError::Name { name: name.clone() })?;
            params.subject_alt_names.push(SanType::DnsName(dns));
        }
        params.subject_alt_names.extend(names.ips.iter().copied().map(SanType::IpAddress));
        self.issue(params, spki_der)
    }

    /// Issues a leaf by the profile of an X.509-SVID.
    fn issue(&self, mut params: CertificateParams, spki_der: &[u8]) -> Result<Issued, IssueError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // The profile wants both. A device cannot pose as a server by it: it has no DNS name and no address.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = SubjectPublicKeyInfo::from_der(spki_der)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let serial = params.serial_number.map(|serial| serial.to_bytes()).unwrap_or_default();
        Ok(Issued { certificate_der: certificate.der().to_vec(), serial })
    }
}

/// The names a server is reached by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
}

/// What every certificate of ours has in common.
fn params(now: Timestamp, not_after: Timestamp, name: &str) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Muster");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial::create(now).ok_or(IssueError::Random)?));
    let moment = |at: Timestamp| rcgen::date_time_ymd(1970, 1, 1) + at.since(Timestamp::from_micros(0));
    params.not_before = moment(now) - BACKDATE;
    params.not_after = moment(not_after);
    Ok(params)
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    let uri = text.try_into().map_err(|_| IssueError::Name { name: text.to_owned() })?;
    Ok(SanType::URI(uri))
}
