//! Why an envelope is not obeyed.

use muster_errors::ErrorCode;
use muster_proto::Malformed;
use muster_types::Digest;

/// Why an envelope is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// `POLICY_…` or `ORDER_REFUSED`.
    pub code: ErrorCode,
    /// The same for people: a lower-case fragment.
    pub message: String,
    /// The etag of the policy, where its signature was good.
    pub etag: Option<Digest>,
}

impl Refusal {
    /// A refusal of something of which no etag is known.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), etag: None }
    }

    /// `POLICY_MALFORMED` with a message.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::PolicyMalformed, message)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::malformed(malformed.to_string())
    }
}
