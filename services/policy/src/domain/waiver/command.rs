//! What may be asked of a waiver.

use muster_types::Timestamp;

use super::Grant;
use crate::domain::Origin;

/// A wish. Whether policy, setting and target are there was asked before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Exempt devices.
    Grant {
        /// What it says.
        grant: Grant,
        /// Where it comes from; the reason is why the devices are exempt.
        origin: Origin,
    },
    /// End it before its time.
    Revoke {
        /// Where it comes from.
        origin: Origin,
    },
    /// End it if its time is over.
    Expire {
        /// The moment of the command.
        now: Timestamp,
    },
}
