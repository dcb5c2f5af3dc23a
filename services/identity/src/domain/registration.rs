//! A device's registration: what trust in it rests on, and the certificates it is known by.

mod command;
mod error;
mod event;
mod serial;
mod state;
#[cfg(test)]
mod tests;

pub use command::{Command, REASON_CHARS_MAX};
pub use error::Error;
pub use event::{Certificate, Event, Kind, Proven, Removal, Resolution};
pub use serial::Serial;
pub use state::{Registered, Registration, Standing};
