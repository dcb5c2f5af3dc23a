//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod standings;

pub use standings::Standings;
