//! A device's registration: what trust in it rests on, and the certificate it is known by.

mod command;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use event::{Event, Kind};
pub use state::{Certificate, Registration};
