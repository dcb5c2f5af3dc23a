//! What happened to a device's sync.

use muster_types::RequestId;

/// A fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The device was asked to check in at once.
    Requested {
        /// The request; stands in the envelope as the correlation id.
        request: RequestId,
    },
}
