//! Why a command on an enrollment is refused.

use muster_types::EnrollmentCode;

use crate::domain::facts::InvalidFacts;
use crate::domain::tags::InvalidTags;
use crate::domain::trouble::InvalidTrouble;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device was never onboarded.
    #[error("no such device")]
    Unknown,
    /// The facts are out of bounds.
    #[error("the facts are out of bounds")]
    Facts(#[from] InvalidFacts),
    /// The troubles are out of bounds.
    #[error("the troubles are out of bounds")]
    Troubles(#[from] InvalidTrouble),
    /// The tags are out of bounds.
    #[error(transparent)]
    Tags(#[from] InvalidTags),
    /// The device is gone, and no admin has let it come back.
    #[error("the device is gone ({code}), and no admin has allowed it to come back")]
    Gone {
        /// How it went: `OFFBOARDED`, `DELETED` or `MERGED`.
        code: EnrollmentCode,
    },
    /// The device is being offboarded.
    #[error("the device is being offboarded")]
    Leaving,
    /// There is no offboarding to confirm.
    #[error("nobody asked for the device's offboarding")]
    NoOrder,
}
