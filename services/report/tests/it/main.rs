//! The report service, called as the server would call it, on a log in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bad_input;
mod policies;
mod reporting;
mod settings;
