//! What happened to a device's status.

use super::Status;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device said something it had not said before.
    Reported {
        /// The status, whole.
        status: Status,
    },
}
