//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod sightings;
pub mod standings;

pub use sightings::Sightings;
pub use standings::Standings;
