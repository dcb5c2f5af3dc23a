//! Looking into certificates.

use std::net::IpAddr;

use muster_types::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authority::Names;
use crate::csr::sha256;
use crate::{Authority, TrustDomain};

/// Whether a certificate is for that key.
pub(crate) fn belongs(certificate: &[u8], key: &KeyPair) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, certificate)| certificate.public_key().raw == key.subject_public_key_info())
}

/// Whether a certificate may issue others.
pub(crate) fn is_authority(certificate: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let usage = certificate.key_usage().ok().flatten();
    certificate.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign())
}

/// When a certificate ends; the epoch for one that cannot be read.
pub(crate) fn not_after(certificate: &[u8]) -> Timestamp {
    let end = X509Certificate::from_der(certificate).map(|(_, read)| read.validity().not_after.timestamp());
    Timestamp::from_seconds_and_nanos(end.unwrap_or(0), 0)
}

/// Whether a certificate is signed by that authority's key.
pub(crate) fn is_by(certificate: &[u8], authority: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let Ok((_, issuer)) = X509Certificate::from_der(authority) else { return false };
    certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    sha256(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The trust domain an authority's certificate names.
pub(crate) fn domain_of(certificate: &[u8]) -> Option<TrustDomain> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    uris(&certificate).iter().find_map(|uri| uri.strip_prefix("spiffe://")?.parse().ok())
}

/// The URIs among a certificate's names.
pub(crate) fn uris<'a>(certificate: &X509Certificate<'a>) -> Vec<&'a str> {
    uris_among(names(certificate))
}

/// The URIs among names.
pub(crate) fn uris_among<'a>(names: &[GeneralName<'a>]) -> Vec<&'a str> {
    let uri = |name: &GeneralName<'a>| if let GeneralName::URI(uri) = name { Some(*uri) } else { None };
    names.iter().filter_map(uri).collect()
}

/// Whether a service's certificate is of this authority, has all these names, and lasts until then.
pub(crate) fn is_issued_for(
    certificate: &[u8],
    authority: &Authority,
    wanted: &Names,
    until: Timestamp,
) -> bool {
    if !is_by(certificate, authority.certificate()) || not_after(certificate) <= until {
        return false;
    }
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let (mut dns, mut ips) = (Vec::new(), Vec::new());
    for name in names(&certificate) {
        if let GeneralName::DNSName(name) = name {
            dns.push((*name).to_owned());
        } else if let GeneralName::IPAddress(bytes) = name {
            ips.extend(ip(bytes));
        }
    }
    wanted.dns.iter().all(|name| dns.contains(name)) && wanted.ips.iter().all(|ip| ips.contains(ip))
}

fn names<'a, 'b>(certificate: &'b X509Certificate<'a>) -> &'b [GeneralName<'a>] {
    // Names that cannot be read are none.
    let names = certificate.subject_alternative_name().ok().flatten();
    names.map_or(&[], |names| &names.value.general_names)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}
