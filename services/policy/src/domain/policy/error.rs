//! Why a command on a policy is refused.

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was never made, or is deleted.
    #[error("no such policy")]
    Unknown,
    /// The name is empty, too long or unprintable.
    #[error("display_name: {0}")]
    Name(&'static str),
    /// It moved on since it was read.
    #[error("the policy moved on: expected etag {expected:?}, found {found:?}; read it again")]
    EtagMismatch {
        /// What the caller believed.
        expected: String,
        /// What it has.
        found: String,
    },
    /// The request id was used for something else.
    #[error("this request id was used for another change of the policy")]
    RequestReused,
}
