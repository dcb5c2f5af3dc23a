//! A device's enrollment: how it came in, what it says of itself, and what came of it.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::{Event, ManagedBy};
pub use state::{Enrollment, Onboarded, Outcome};
