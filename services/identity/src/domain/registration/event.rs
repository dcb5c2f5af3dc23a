//! What happened to a registration.

use muster_types::{Digest, Timestamp};

/// What a registration rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Made by this service for a device that no directory knows.
    Synthetic,
    /// Proven by a certificate of an authority the tenant registered.
    Full,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device is trusted: a certificate was issued to it. One event for each certificate, so that every serial number
    /// is known.
    TrustEstablished {
        /// What the registration rests on.
        kind: Kind,
        /// SPIFFE ID in the certificate.
        spiffe_id: String,
        /// SHA-256 of the public key in it.
        key_digest: Digest,
        /// Its serial number, big-endian.
        certificate_serial: Vec<u8>,
        /// When it ends.
        not_after: Timestamp,
    },
}
