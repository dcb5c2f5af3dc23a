//! What can be asked of a device's status.

use super::Status;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Replace the status.
    Report {
        /// The status, whole.
        status: Status,
    },
}
