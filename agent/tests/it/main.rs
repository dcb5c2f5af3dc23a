//! An agent against a server in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod authority;
mod doctor;
mod life;
mod policy;
mod server;
mod trust;
