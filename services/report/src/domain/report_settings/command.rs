//! What may be asked of the settings of reports.

use super::Values;
use crate::domain::Origin;

/// A wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Replace them.
    Change {
        /// All of them.
        values: Values,
        /// Etag they must still have; empty means any.
        etag: String,
        /// Where it comes from.
        origin: Origin,
    },
}
