//! Why a command on a directory device is refused.

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The directory never told of it, or it was removed.
    #[error("no such directory device")]
    Unknown,
}
