//! Why a command on a registration is refused.

use super::Removal;

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device was never trusted.
    #[error("no such device")]
    Unknown,
    /// It was removed since.
    #[error("the device is no longer registered: it was {}", said(.0))]
    Removed(Removal),
    /// Its certificates were ended; it must onboard again.
    #[error("trust in the device was revoked; it must onboard again")]
    Revoked,
    /// Two live sessions use its identity.
    #[error("two live sessions use the device's identity, and an admin must resolve it")]
    Quarantined,
    /// The reason is none.
    #[error("a reason has at most 256 characters, none of them a control character")]
    ReasonInvalid,
}

const fn said(removal: &Removal) -> &'static str {
    match removal {
        Removal::Deleted => "deleted",
        Removal::Offboarded => "offboarded",
        Removal::Merged { .. } => "merged into another",
    }
}
