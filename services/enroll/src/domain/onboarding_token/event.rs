//! What happened to an onboarding token.

use muster_types::{DeviceId, Digest, Timestamp};

use super::Terms;

/// A fact. Its moment stands in the envelope, once for all events of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was made.
    Issued {
        /// SHA-256 of the secret.
        secret_hash: Digest,
        /// When it stops working.
        expire_time: Timestamp,
        /// What it lets in, and what it gives.
        terms: Terms,
        /// When.
        at: Timestamp,
    },
    /// A device came in with it. One that is refused uses nothing up.
    Used {
        /// The device.
        device: DeviceId,
        /// When.
        at: Timestamp,
    },
    /// It lets nobody in any more.
    Revoked {
        /// When.
        at: Timestamp,
    },
}
