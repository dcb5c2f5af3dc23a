//! What may be asked of a device's sync.

use muster_types::RequestId;

/// A wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Ask the device to check in at once.
    Request {
        /// The request.
        request: RequestId,
    },
}
