//! Certificate chains that lead to a tenant's trust anchors.

use std::time::Duration;

use muster_types::{Digest, Timestamp};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
    OID_X509_SERIALNUMBER,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, SubjectPublicKeyInfo};

use super::anchor::moment;
use super::{AnchorCertificate, CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX};
use crate::certificate::uris;
use crate::csr::sha256;

/// The certificate of a device, after its chain was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Common name of its subject, if it has one.
    pub common_name: Option<String>,
    /// Serial number of its subject (`serialNumber`, not the certificate's), if it has one.
    pub subject_serial: Option<String>,
    /// URIs among its names.
    pub uris: Vec<String>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo in DER) that signed it.
    pub issuer_key_digest: Digest,
    /// Directory tenant that it names by [`DIRECTORY_TENANT_OID`]: a GUID in lower case.
    pub directory_tenant_id: Option<String>,
    /// Which of the anchors the chain leads to: the first whose name and key fit.
    pub anchor: usize,
    /// When it ends.
    pub not_after: Timestamp,
    pub(super) key: LeafKey,
}

/// Extension by which certificates of a directory name its tenant: a GUID in the order of its maker, mostly within an
/// OCTET STRING of its own.
pub const DIRECTORY_TENANT_OID: &str = "1.2.840.113556.1.5.284.5";

/// A public key of a kind whose signatures can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafKey {
    /// A point on P-256.
    P256(Vec<u8>),
    /// A point on P-384.
    P384(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
    /// RSAPublicKey in DER.
    Rsa(Vec<u8>),
}

/// Why a chain proves nothing. Certificates are counted from 0, the device's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No certificate at all.
    #[error("there is no certificate")]
    Empty,
    /// More than [`CHAIN_CERTIFICATES_MAX`].
    #[error("the chain has {found} certificates, more than {CHAIN_CERTIFICATES_MAX}")]
    TooLong {
        /// How many.
        found: usize,
    },
    /// A certificate is larger than [`CERTIFICATE_BYTES_MAX`].
    #[error("certificate {index} has {size_bytes} bytes, more than {CERTIFICATE_BYTES_MAX}")]
    TooLarge {
        /// Which.
        index: usize,
        /// Its size.
        size_bytes: usize,
    },
    /// A certificate is not X.509 in DER.
    #[error("certificate {index} is not an X.509 certificate (version 3) in DER")]
    NotX509 {
        /// Which.
        index: usize,
    },
    /// An authority's certificate comes before the device's.
    #[error("the device's own certificate must come first, and certificate 0 is of an authority")]
    WrongOrder,
    /// The device's certificate is of an authority.
    #[error("the certificate is of an authority, not of a device")]
    LeafIsAuthority,
    /// No path leads to an anchor: another issuer, a missing intermediate, or a signature that does not verify.
    #[error("no path leads from the certificate to a trust anchor")]
    NoPath,
    /// A path leads to an anchor over a certificate that does not allow it.
    #[error("the path breaks a constraint of an authority (path length, names, or a critical extension)")]
    Constraint,
    /// The time of a certificate on the path is over.
    #[error("a certificate on the path expired at {not_after}; here it is {now}")]
    Expired {
        /// When it ended.
        not_after: Timestamp,
        /// The moment it was checked for.
        now: Timestamp,
    },
    /// The time of a certificate on the path has not begun.
    #[error("a certificate on the path is not valid before {not_before}; here it is {now}")]
    NotYetValid {
        /// When it begins.
        not_before: Timestamp,
        /// The moment it was checked for.
        now: Timestamp,
    },
    /// The device's certificate may not sign, or an issuer's may not sign certificates.
    #[error("certificate {index} may not be used so: its key usage lacks {lacks}")]
    KeyUsage {
        /// Which.
        index: usize,
        /// The usage it would need.
        lacks: &'static str,
    },
    /// It has extended key usages, and authentication of clients is not among them.
    #[error("the certificate is not for the authentication of clients (extended key usage)")]
    NotForClients,
    /// More than one URI among its names: nobody says which one it is.
    #[error("the certificate has {found} URIs among its names instead of one SPIFFE ID")]
    NotOneUri {
        /// How many it has.
        found: usize,
    },
    /// A key or signature of a kind that is not known here.
    #[error("the certificate's key or signature is of an unknown kind")]
    AlgorithmUnknown,
}

impl ChainError {
    /// A word for programs that tell causes apart.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Empty | Self::TooLong { .. } | Self::TooLarge { .. } => "size",
            Self::NotX509 { .. } => "not-x509",
            Self::WrongOrder => "order",
            Self::LeafIsAuthority => "authority",
            Self::NoPath => "no-path",
            Self::Constraint => "constraint",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::KeyUsage { .. } => "key-usage",
            Self::NotForClients => "not-for-clients",
            Self::NotOneUri { .. } => "not-one-uri",
            Self::AlgorithmUnknown => "algorithm",
        }
    }
}

impl Leaf {
    /// The one URI of the certificate: its SPIFFE ID, where that is what it goes by.
    ///
    /// # Errors
    /// [`ChainError::NotOneUri`].
    pub fn only_uri(&self) -> Result<&str, ChainError> {
        let [uri] = &self.uris[..] else { return Err(ChainError::NotOneUri { found: self.uris.len() }) };
        Ok(uri)
    }
}

/// Verifies that a chain leads from a device's certificate, which comes first, to one of the anchors. The intermediates
/// may come in any order. Where the device's certificate has extended key usages, authentication of clients must be among
/// them.
///
/// # Errors
/// [`ChainError`] saying exactly what is wrong.
pub fn verify_chain(
    chain_der: &[Vec<u8>],
    anchors: &[AnchorCertificate],
    now: Timestamp,
) -> Result<Leaf, ChainError> {
    let chain = read(chain_der)?;
    let (leaf, others) = chain.split_first().ok_or(ChainError::Empty)?;
    check_leaf(leaf, others, now)?;
    let key = leaf_key(leaf.public_key())?;

    let ders: Vec<_> = chain_der.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let end_entity = EndEntityCert::try_from(&ders[0]).map_err(|error| chain_error(&error, now).at_leaf())?;
    let trusted: Vec<TrustAnchor<'_>> = anchors.iter().map(|anchor| anchor.anchor().clone()).collect();
    let path = end_entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &trusted,
            &ders[1..],
            unix_time(now),
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(|error| chain_error(&error, now))?;
    check_issuers(&path, &ders, &chain)?;
    let anchor = anchors
        .iter()
        .position(|anchor| anchor.anchor() == path.anchor())
        .expect("the path ends at one of the anchors given");
    // Paths are not built with the time of an anchor in mind.
    if anchors[anchor].check_time(now).is_err() {
        return Err(ChainError::Expired { not_after: anchors[anchor].not_after(), now });
    }
    Ok(Leaf {
        common_name: attribute(leaf.subject().iter_common_name().next()),
        subject_serial: attribute(leaf.subject().iter_by_oid(&OID_X509_SERIALNUMBER).next()),
        uris: uris(leaf).into_iter().map(str::to_owned).collect(),
        issuer_key_digest: issuer_key_digest(&path, &anchors[anchor]),
        directory_tenant_id: directory_tenant(leaf),
        anchor,
        not_after: moment(leaf.validity().not_after.timestamp()),
        key,
    })
}

pub(crate) fn read<'a>(chain_der: &'a [Vec<u8>]) -> Result<Vec<X509Certificate<'a>>, ChainError> {
    if chain_der.len() > CHAIN_CERTIFICATES_MAX {
        return Err(ChainError::TooLong { found: chain_der.len() });
    }
    let certificate = |(index, der): (usize, &'a Vec<u8>)| {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(ChainError::TooLarge { index, size_bytes: der.len() });
        }
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            Ok(_) | Err(_) => Err(ChainError::NotX509 { index }),
        }
    };
    chain_der.iter().enumerate().map(certificate).collect()
}

/// What can be said of the device's certificate alone: more exact than what the search for a path says.
fn check_leaf(
    leaf: &X509Certificate<'_>,
    others: &[X509Certificate<'_>],
    now: Timestamp,
) -> Result<(), ChainError> {
    if leaf.is_ca() {
        let device_follows = others.iter().any(|other| !other.is_ca());
        return Err(if device_follows { ChainError::WrongOrder } else { ChainError::LeafIsAuthority });
    }
    let not_before = moment(leaf.validity().not_before.timestamp());
    let not_after = moment(leaf.validity().not_after.timestamp());
    if now < not_before {
        return Err(ChainError::NotYetValid { not_before, now });
    }
    if now > not_after {
        return Err(ChainError::Expired { not_after, now });
    }
    let malformed = |_| ChainError::NotX509 { index: 0 };
    let usage = leaf.key_usage().map_err(malformed)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(ChainError::KeyUsage { index: 0, lacks: "digitalSignature" });
    }
    let purposes = leaf.extended_key_usage().map_err(malformed)?;
    if purposes.is_some_and(|purposes| !purposes.value.client_auth) {
        return Err(ChainError::NotForClients);
    }
    Ok(())
}

/// The search for a path does not look at key usages.
pub(crate) fn check_issuers(
    path: &VerifiedPath<'_>,
    ders: &[CertificateDer<'_>],
    chain: &[X509Certificate<'_>],
) -> Result<(), ChainError> {
    for used in path.intermediate_certificates() {
        let index = ders.iter().position(|der| *der == used.der()).unwrap_or(0);
        let usage = chain[index].key_usage().map_err(|_| ChainError::NotX509 { index })?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(ChainError::KeyUsage { index, lacks: "keyCertSign" });
        }
    }
    Ok(())
}

fn issuer_key_digest(path: &VerifiedPath<'_>, anchor: &AnchorCertificate) -> Digest {
    if let Some(issuer) = path.intermediate_certificates().next() {
        return sha256(issuer.subject_public_key_info().as_ref());
    }
    let (_, anchor) = X509Certificate::from_der(anchor.der()).expect("an anchor was read before");
    sha256(anchor.public_key().raw)
}

fn leaf_key(key: &SubjectPublicKeyInfo<'_>) -> Result<LeafKey, ChainError> {
    let bytes = key.subject_public_key.data.to_vec();
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return Ok(LeafKey::Ed25519(bytes));
    }
    if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        return Ok(LeafKey::Rsa(bytes));
    }
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match curve.filter(|_| algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY) {
        Some(curve) if curve == OID_EC_P256 => Ok(LeafKey::P256(bytes)),
        Some(curve) if curve == OID_NIST_EC_P384 => Ok(LeafKey::P384(bytes)),
        _ => Err(ChainError::AlgorithmUnknown),
    }
}

fn attribute(attribute: Option<&AttributeTypeAndValue<'_>>) -> Option<String> {
    attribute.and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
}

/// A GUID of which the first three groups come with their lowest byte first.
fn directory_tenant(leaf: &X509Certificate<'_>) -> Option<String> {
    let extension =
        leaf.extensions().iter().find(|found| found.oid.to_id_string() == DIRECTORY_TENANT_OID)?;
    let guid = match extension.value {
        [0x04, 0x10, guid @ ..] | [0x04, 0x81, 0x10, guid @ ..] => guid,
        bare => bare,
    };
    // One that is no GUID names a tenant all the same, and none that anybody has.
    let Ok([a, b, c, d, e, f, g, h, rest @ ..]) = <[u8; 16]>::try_from(guid) else {
        return Some(String::new());
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (clock, node) = rest.split_at(2);
    Some(format!("{}-{}-{}-{}-{}", hex(&[d, c, b, a]), hex(&[f, e]), hex(&[h, g]), hex(clock), hex(node)))
}

pub(crate) fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(now.micros()).unwrap_or(0)))
}

fn timestamp(time: UnixTime) -> Timestamp {
    moment(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

impl ChainError {
    /// A certificate that cannot even be read as a device's.
    fn at_leaf(self) -> Self {
        if self == Self::NoPath { Self::NotX509 { index: 0 } } else { self }
    }
}

pub(crate) fn chain_error(error: &webpki::Error, now: Timestamp) -> ChainError {
    use webpki::Error;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the list is open; whatever else it is, no path was found"
    )]
    match error {
        Error::CertExpired { not_after, .. } => ChainError::Expired { not_after: timestamp(*not_after), now },
        Error::CertNotValidYet { not_before, .. } => {
            ChainError::NotYetValid { not_before: timestamp(*not_before), now }
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => ChainError::NotForClients,
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | Error::SignatureAlgorithmMismatch => ChainError::AlgorithmUnknown,
        Error::PathLenConstraintViolated
        | Error::NameConstraintViolation
        | Error::EndEntityUsedAsCa
        | Error::UnsupportedCriticalExtension => ChainError::Constraint,
        Error::CaUsedAsEndEntity => ChainError::LeafIsAuthority,
        _ => ChainError::NoPath,
    }
}
