//! Why a command on a trust anchor is refused.

use muster_types::TrustAnchorId;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such trust anchor.
    #[error("no such trust anchor")]
    Unknown,
    /// The name is no name.
    #[error(
        "a trust anchor's name has 1 to 256 characters, none of them a control character, and no blanks around it"
    )]
    NameInvalid,
    /// Another trust anchor of the tenant has this name.
    #[error("another trust anchor has this name")]
    NameTaken {
        /// The other one.
        by: TrustAnchorId,
    },
    /// The request that added the anchor comes again with other content.
    #[error("this request id added the trust anchor {display_name:?}")]
    RequestReused {
        /// Name of the anchor that the first request added.
        display_name: String,
    },
    /// No certificate, or more than the limit.
    #[error("an authority has 1 to 16 certificates, found {found}")]
    CertificateCount {
        /// How many.
        found: usize,
    },
    /// A certificate cannot be used.
    #[error("certificate {index} cannot be used: {reason}")]
    CertificateUnfit {
        /// Which one, counted from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory tenant is no GUID, or the authority is no directory.
    #[error(
        "only a directory has a directory tenant id, a GUID such as 383a3889-5bc9-47a3-846c-2b70f0b7fe0e"
    )]
    DirectoryTenantInvalid,
}
