//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod fleet;
pub mod past;
pub mod resolutions;

pub use fleet::Fleet;
pub use past::Past;
pub use resolutions::Resolutions;
