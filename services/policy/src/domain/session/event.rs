//! What happened to a device's sessions.

use muster_types::RequestId;

use super::BootId;

/// A fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Two boots of the identity took turns in checking in.
    TurnsObserved {
        /// The two; equal when one machine's memory was copied while it ran.
        boots: [BootId; 2],
        /// The request; stands in the envelope as the correlation id.
        request: RequestId,
    },
}
