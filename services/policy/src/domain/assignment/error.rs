//! Why a command on an assignment is refused. Whether policy and group are there is asked before, since it is no fact of
//! this aggregate.

use super::state::FILTER_CHARS_MAX;

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A priority decides between values, and who is out wants none.
    #[error("an exclusion takes no priority")]
    PriorityOfExclusion,
    /// The filter is too long.
    #[error("must have at most {FILTER_CHARS_MAX} characters, has {found}")]
    FilterTooLong {
        /// How many it has.
        found: usize,
    },
}
