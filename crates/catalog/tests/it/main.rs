//! The built-in catalogue, seen from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod across;
mod applicability;
mod checking;
mod explaining;
mod loading;
mod searching;
mod traps;
mod values;
mod wire;
