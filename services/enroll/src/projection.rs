//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod devices;
pub mod tokens;

pub use devices::Devices;
pub use tokens::Tokens;
