//! What happened to an enrollment.

use muster_types::{Digest, RequestId, TokenId};

use crate::domain::facts::DeviceFacts;

/// Who manages a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagedBy {
    /// This channel.
    Muster,
    /// A mobile device management service.
    Mdm,
    /// Microsoft Configuration Manager.
    ConfigMgr,
    /// Nobody.
    Nobody,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device presented a good token and a key.
    Onboarded {
        /// The token it came with.
        token: TokenId,
        /// SHA-256 of its public key.
        key_digest: Digest,
        /// What its survey found.
        facts: DeviceFacts,
        /// The request that onboarded it; stands in the envelope as the correlation id.
        request: RequestId,
    },
    /// What the device says of itself changed.
    FactsChanged {
        /// What its survey found.
        facts: DeviceFacts,
    },
    /// Trust is established, and this channel manages the device.
    Succeeded {
        /// SPIFFE ID of its certificate.
        spiffe_id: String,
        /// Who manages it from now on.
        managed_by: ManagedBy,
    },
    /// The device may not be enrolled.
    Refused {
        /// Error code that says why.
        reason: String,
        /// The reason for people.
        message: String,
    },
}
