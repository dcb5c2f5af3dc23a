//! The views: pure folds of events, in memory, from which all reading calls are answered.

pub mod groups;
pub mod registrations;

pub use groups::Groups;
pub use registrations::Registrations;
