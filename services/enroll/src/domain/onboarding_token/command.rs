//! What may be asked of an onboarding token.

use muster_types::{DeviceId, Digest, Timestamp};

use super::Terms;
use crate::domain::facts::Platform;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it.
    Issue {
        /// SHA-256 of the secret.
        secret_hash: Digest,
        /// When it stops working.
        expire_time: Timestamp,
        /// What it lets in, and what it gives.
        terms: Terms,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Let a device in.
    Use {
        /// The device.
        device: DeviceId,
        /// The device's platform.
        platform: Platform,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Let nobody in any more.
    Revoke {
        /// The moment of the command.
        now: Timestamp,
    },
}
