//! A waiver: an exemption of devices from a setting or a policy, for a time.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::{Event, Exempt, Grant, Target};
pub use state::{APPROVER_CHARS_MAX, End, Known, REASON_CHARS_MAX, TIME_MAX, Waiver};
