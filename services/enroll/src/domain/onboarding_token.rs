//! The onboarding token: what an admin gives to devices so that they may come in. Hashed, expiring, counted, revocable.

mod command;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::Event;
pub use state::{DISPLAY_NAME_CHARS_MAX, Issued, OnboardingToken, Terms};
