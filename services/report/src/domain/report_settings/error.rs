//! Why a command on the settings of reports is refused.

use super::OutOfBounds;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Values are out of bounds: all of them.
    #[error("{} values of the report settings are out of bounds", .0.len())]
    OutOfBounds(Vec<OutOfBounds>),
    /// They moved on since they were read.
    #[error("the report settings moved on: expected etag {expected:?}, found {found:?}; read them again")]
    EtagMismatch {
        /// What the caller believed.
        expected: String,
        /// What they have.
        found: String,
    },
    /// The request id was used for another change.
    #[error("this request id was used for another change of the report settings")]
    RequestReused,
}
