//! A real server in process, called by the real client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authority;
mod callers;
mod fixture;
mod lifecycle;
mod limits;
mod resumption;
mod revocation;
mod whole;
