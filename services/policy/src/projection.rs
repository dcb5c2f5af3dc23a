//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod fleet;
pub mod resolutions;

pub use fleet::Fleet;
pub use resolutions::Resolutions;
