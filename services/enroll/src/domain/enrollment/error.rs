//! Why a command on an enrollment is refused.

use crate::domain::facts::InvalidFacts;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device was never onboarded.
    #[error("no such device")]
    Unknown,
    /// The facts are out of bounds.
    #[error("the facts are out of bounds")]
    Facts(#[from] InvalidFacts),
}
