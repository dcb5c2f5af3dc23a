//! An authority whose certificates prove full registrations, as a tenant registered it.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::{CERTIFICATES_MAX, Command, Unfit};
pub use error::Error;
pub use event::{Event, Kind};
pub use state::{Added, TrustAnchor};
