//! How devices of a tenant check in: one set of values a tenant.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;
mod values;

pub use command::Command;
pub use error::Error;
pub use event::Event;
pub use state::{CheckInSettings, etag};
pub use values::{COUNT_MAX, HINTS_PER_SECOND_MAX, INTERVAL_MAX, OutOfBounds, Values};
