//! When devices of a tenant count as stale or drifting: one set of values a tenant.

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
pub use state::{ReportSettings, etag};
pub use values::{DRIFT_AFTER_MAX, OutOfBounds, STALE_AFTER_MAX, STALE_AFTER_MIN, Values};
