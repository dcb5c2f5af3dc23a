//! What happened to the settings of reports.

use super::Values;
use crate::domain::Origin;

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// They are others from now on.
    Changed {
        /// All of them.
        values: Values,
        /// Where it comes from.
        origin: Origin,
    },
}
