//! The built-in catalogue, seen from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod applicability;
mod checking;
mod explaining;
mod loading;
mod values;
mod wire;
