//! What may be asked of a device's sessions.

use muster_types::RequestId;

use super::BootId;

/// A wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Note that two boots take turns.
    Observe {
        /// The two.
        boots: [BootId; 2],
        /// The request.
        request: RequestId,
    },
}
