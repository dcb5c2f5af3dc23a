//! What happened to an onboarding token.

use muster_types::{DeviceId, Digest, Timestamp};

/// A fact. Its moment stands in the envelope, once for all events of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was made.
    Issued {
        /// SHA-256 of the secret.
        secret_hash: Digest,
        /// When it stops working.
        expire_time: Timestamp,
        /// How many devices it may onboard.
        uses_max: u32,
        /// When.
        at: Timestamp,
    },
    /// A device came in with it.
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
