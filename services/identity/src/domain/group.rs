//! A group of devices, whose members an admin names.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::{Command, DISPLAY_NAME_CHARS_MAX};
pub use error::Error;
pub use event::Event;
pub use state::{Defined, Group};
