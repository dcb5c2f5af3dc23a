//! The other end of a TLS connection.

use muster_types::Timestamp;
use x509_parser::extensions::SubjectAlternativeName;
use x509_parser::nom::Parser as _;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::{FromDer as _, X509CertificateParser};

use crate::certificate::uris_among;
use crate::spiffe::InvalidSpiffeId;
use crate::{SpiffeId, serial};

/// Who a certificate, already verified by TLS, speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub id: SpiffeId,
    /// Serial number of the certificate, as [`Issued::serial`](crate::Issued::serial); see
    /// [`serial::issued_at`](crate::serial::issued_at).
    pub serial: Vec<u8>,
    /// When the certificate ends. TLS checks it when a session begins, and not when one is resumed.
    pub not_after: Timestamp,
}

/// Why a certificate speaks for nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not X.509 in DER.
    #[error("the certificate cannot be read")]
    Malformed,
    /// It must have exactly one URI among its names.
    #[error("the certificate has {found} URIs among its names instead of one SPIFFE ID")]
    NotOneUri {
        /// How many it has.
        found: usize,
    },
    /// The URI is no SPIFFE ID of ours.
    #[error(transparent)]
    Invalid(#[from] InvalidSpiffeId),
}

/// Reads who a certificate speaks for.
///
/// # Errors
/// [`PeerError`] when it is nobody of ours.
pub fn identity(certificate_der: &[u8]) -> Result<SpiffeId, PeerError> {
    read(certificate_der).map(|peer| peer.id)
}

/// Reads who a certificate speaks for, until when, and which one it is.
///
/// # Errors
/// [`PeerError`] when it is nobody of ours.
pub fn read(certificate_der: &[u8]) -> Result<Peer, PeerError> {
    // Once for each connection: of the extensions only the names are looked into.
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (_, certificate) = parser.parse(certificate_der).map_err(|_| PeerError::Malformed)?;
    let extension = certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME);
    let extension = extension.map_err(|_| PeerError::Malformed)?;
    let names = extension.and_then(|extension| SubjectAlternativeName::from_der(extension.value).ok());
    let uris = names.as_ref().map_or_else(Vec::new, |(_, names)| uris_among(&names.general_names));
    let [uri] = uris[..] else { return Err(PeerError::NotOneUri { found: uris.len() }) };
    let not_after = certificate.validity().not_after.timestamp();
    let digits = certificate.raw_serial();
    let serial = serial::padded(digits).map_or_else(|| digits.to_vec(), Vec::from);
    Ok(Peer { id: uri.parse()?, serial, not_after: Timestamp::from_seconds_and_nanos(not_after, 0) })
}
