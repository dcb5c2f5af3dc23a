//! The rules. Pure: no clock, no randomness, no I/O; time and ids arrive in the command.

pub mod assignment;
pub mod change;
pub mod check_in_settings;
pub mod collision;
pub mod delivery;
pub mod explanation;
pub mod plan;
pub mod policy;
pub mod resolution;
pub mod resolve;
pub mod session;
pub mod share_out;
pub mod sync;
pub mod waiver;

mod origin;

pub use origin::Origin;
