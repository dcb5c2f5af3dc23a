//! What may be asked of an enrollment.

use muster_types::{Digest, RequestId, TokenId};

use crate::domain::facts::DeviceFacts;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take the device in.
    Onboard {
        /// The token it comes with.
        token: TokenId,
        /// SHA-256 of its public key.
        key_digest: Digest,
        /// What its survey found.
        facts: DeviceFacts,
        /// The request, should it be the one that onboards.
        request: RequestId,
    },
    /// Note what the device says of itself.
    ReportFacts {
        /// What its survey found.
        facts: DeviceFacts,
    },
    /// Note that trust is established.
    Succeed {
        /// SHA-256 of the public key that is trusted.
        key_digest: Digest,
        /// SPIFFE ID of its certificate.
        spiffe_id: String,
    },
}
