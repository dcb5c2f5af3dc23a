//! Sessions of a device: whether one identity lives on two machines.

mod command;
mod error;
mod event;
mod seen;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::Event;
pub use seen::{Held, Run, Seen, Verdict, observe};
pub use state::Session;

/// Random id of a machine's boot.
pub type BootId = [u8; 16];
