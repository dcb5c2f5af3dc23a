//! What can be asked of a device's status.

use muster_types::Timestamp;

use super::Statement;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Replace the status.
    Report {
        /// The status, whole.
        said: Statement,
        /// A setting that was put back so often is suspected to be worked against; at least 1.
        drift_after: u32,
    },
    /// Note that nothing was heard of the device for too long.
    GoStale {
        /// When it was last heard of.
        last_seen: Timestamp,
    },
    /// Note that a stale device was heard of again.
    Return {
        /// When.
        seen: Timestamp,
    },
}
