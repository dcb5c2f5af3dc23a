//! Why a command on a waiver is refused.

use super::state::{APPROVER_CHARS_MAX, REASON_CHARS_MAX};

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was never granted.
    #[error("no such waiver")]
    Unknown,
    /// The request id was used for another waiver.
    #[error("this request id was used for another waiver")]
    RequestReused,
    /// The reason is missing or too long.
    #[error("must have 1 to {REASON_CHARS_MAX} characters, has {found}")]
    Reason {
        /// How many characters it has.
        found: usize,
    },
    /// The approver is missing or too long.
    #[error("must have 1 to {APPROVER_CHARS_MAX} characters, has {found}")]
    Approver {
        /// How many characters it has.
        found: usize,
    },
    /// It would end in the past.
    #[error("must be in the future")]
    EndsInThePast,
    /// It would last too long.
    #[error("must be at most 366 days from now")]
    LastsTooLong,
}
