//! What happened to a registration.

use muster_types::{DeviceId, Digest, HardwareKey, Timestamp};

use super::Serial;

/// What a registration rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Made by this service for a device that no directory knows.
    Synthetic,
    /// Proven by a certificate of an authority the tenant registered, or known to the directory by its hardware.
    Full,
}

/// What a full registration is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Its key, for example `directory:9f0e…` or `spiffe://corp.example/host/7`; never empty.
    pub registration: Box<str>,
    /// Join type as its directory calls it; empty when there is none.
    pub join_type: Box<str>,
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the public key in it.
    pub key_digest: Digest,
    /// Its serial number.
    pub serial: Serial,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Why a registration was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The device was deleted.
    Deleted,
    /// The device confirmed its offboarding.
    Offboarded,
    /// The device is another one that is known already.
    Merged {
        /// The one that lives on.
        into: DeviceId,
    },
}

/// How a suspected clone was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It was none, or the other one is gone.
    Dismiss,
    /// Neither is believed: all certificates ended.
    Reissue,
}

/// A fact. Moments that rules or views need stand in the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device is trusted: a certificate was issued to it. One event for each certificate, so that every serial number
    /// is known.
    TrustEstablished {
        /// What a full registration is known by; a synthetic one has none.
        proven: Option<Proven>,
        /// SPIFFE ID in the certificate.
        spiffe_id: String,
        /// The certificate.
        certificate: Certificate,
        /// By what its hardware is recognised.
        hardware_keys: Vec<HardwareKey>,
    },
    /// The device got a new certificate over its present one.
    TrustRenewed(Certificate),
    /// The device used a new certificate for the first time: those issued before end.
    CertificateActivated(Serial),
    /// All certificates issued so far end.
    TrustRevoked {
        /// Why, for people.
        reason: Box<str>,
    },
    /// A full registration took the place of what the device had.
    RegistrationPromoted(Proven),
    /// The device is no longer registered.
    RegistrationRemoved(Removal),
    /// Two live sessions use one identity.
    CloneSuspected {
        /// Boot ids of the two.
        boot_ids: Vec<[u8; 16]>,
    },
    /// An admin resolved a suspicion.
    CloneResolved {
        /// How.
        resolution: Resolution,
        /// When.
        at: Timestamp,
    },
}
