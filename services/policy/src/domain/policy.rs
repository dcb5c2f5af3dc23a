//! A policy: what devices shall be set to, in revisions that never change.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::{Content, Event, OnUnassign, revision_id};
pub use state::{Known, Policy, etag};
