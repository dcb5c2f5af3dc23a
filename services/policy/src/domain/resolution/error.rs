//! Why nothing can be told.

use muster_types::Positions;

/// More was resolved before than now: another process is further, and what it told is not to be told back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log was told what was resolved at {told}, this is of {found}")]
pub struct Behind {
    /// What was told was resolved at these positions.
    pub told: Positions,
    /// What is to be told was.
    pub found: Positions,
}
