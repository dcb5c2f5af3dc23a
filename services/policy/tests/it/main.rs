//! The policy service in process, on a log in memory: called as a server calls it, with the caller known.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test sets up must work; clippy sees tests only in functions marked as such"
)]

mod admin;
mod changes;
mod check_in_settings;

mod device;
mod directives;
mod house;
mod past;
mod plan;
mod revisions;

mod served;
mod telling;
mod waivers;
