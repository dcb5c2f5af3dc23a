//! What may be asked of an onboarding token.

use muster_types::{DeviceId, Digest, Timestamp};

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it.
    Issue {
        /// SHA-256 of the secret.
        secret_hash: Digest,
        /// When it stops working.
        expire_time: Timestamp,
        /// How many devices it may onboard.
        uses_max: u32,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Let a device in.
    Use {
        /// The device.
        device: DeviceId,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Let nobody in any more.
    Revoke {
        /// The moment of the command.
        now: Timestamp,
    },
}
