//! A group of devices, whose members an admin names or a rule finds.

mod change;
mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use change::CHANGE_BYTES_MAX;
pub use command::{Command, DISPLAY_NAME_CHARS_MAX, Verdict};
pub use error::Error;
pub use event::Event;
pub use state::{Defined, Group};
