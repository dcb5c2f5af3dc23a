//! The rules of the directory. Pure: no clock, no randomness, no I/O; time and ids come with the command.

pub mod directory_device;
pub mod group;
pub mod matching;
pub mod membership;
pub mod registration;
pub mod rule;
pub mod trust_anchor;
