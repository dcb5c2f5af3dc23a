//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod devices;
pub mod settings;
pub mod tokens;

pub use devices::Devices;
pub use settings::Settings;
pub use tokens::Tokens;
