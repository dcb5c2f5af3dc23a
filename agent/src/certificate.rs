//! Looking into certificates.

use muster_types::Timestamp;
use rcgen::PublicKeyData as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// From when on it is good.
    pub(crate) begins_at: Timestamp,
    /// Until when.
    pub(crate) expires_at: Timestamp,
    /// Who issued it.
    pub(crate) issuer: String,
    /// Names of servers among its names.
    pub(crate) names: Vec<String>,
    spki_der: Vec<u8>,
}

/// Reads a certificate in DER; `None` when it is none.
pub(crate) fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let moment = |seconds| Timestamp::from_seconds_and_nanos(seconds, 0);
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    Some(Certificate {
        begins_at: moment(certificate.validity().not_before.timestamp()),
        expires_at: moment(certificate.validity().not_after.timestamp()),
        issuer: certificate.issuer().to_string(),
        names: names.iter().filter_map(server_name).collect(),
        spki_der: certificate.public_key().raw.to_vec(),
    })
}

/// Whether a certificate is for a key in PKCS #8.
pub(crate) fn belongs(certificate_der: &[u8], key_pkcs8: &[u8]) -> bool {
    let Ok(key) = rcgen::KeyPair::try_from(key_pkcs8) else { return false };
    read(certificate_der).is_some_and(|certificate| certificate.spki_der == key.subject_public_key_info())
}

fn server_name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from).ok()).map(|ip| ip.to_string())
}
