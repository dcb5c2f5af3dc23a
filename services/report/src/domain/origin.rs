//! Where a fact comes from.

use muster_types::{RequestId, Timestamp};

/// Who did something, why, when, and by which request. All but the reason stands in the envelope of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who, as the log writes it: `admin:ada`.
    pub actor: String,
    /// Why, as they said; may be empty.
    pub reason: String,
    /// The request.
    pub request: RequestId,
    /// When.
    pub at: Timestamp,
}
