//! The rules of the directory. Pure: no clock, no randomness, no I/O; time and ids come with the command.

pub mod group;
pub mod registration;
