//! The rules. Pure: no clock, no randomness, no I/O; time and ids arrive in the command.

pub mod assignment;
pub mod policy;
pub mod resolve;
pub mod session;
pub mod sync;
