//! What happened to a trust anchor.

use muster_types::Timestamp;

/// What kind of authority proves registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A corporate authority: a device is known by issuer and subject.
    CorporateCa,
    /// A SPIRE trust domain: a device is known by its SPIFFE ID.
    Spire,
    /// A directory that issues device certificates: a device is known by its directory id.
    Directory,
    /// Makers of TPMs: a device is known by its endorsement key.
    Tpm,
}

/// A fact. Its moment stands in the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An authority was registered.
    Added {
        /// Name for people.
        display_name: String,
        /// What kind of authority it is.
        kind: Kind,
        /// Its certificates in DER.
        certificates_der: Vec<Vec<u8>>,
        /// Directory tenant that its certificates must name, a GUID in lower case; empty when they name none.
        directory_tenant_id: String,
        /// When.
        at: Timestamp,
    },
    /// It was removed.
    Removed,
}
