//! An assignment: a policy's tie to a group.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::{Event, Intent, PRIORITY_MAX, Priority, Tie};
pub use state::{Assigned, Assignment, FILTER_CHARS_MAX, stream_id};
