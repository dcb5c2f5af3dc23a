//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod fleet;

pub use fleet::Fleet;
