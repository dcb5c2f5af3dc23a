//! What devices should have, as the log tells it: who came to which resolution, by differences.

mod command;
mod content;
mod error;
mod event;
mod state;
#[cfg(test)]
mod tests;

pub use command::{Cause, Come, Difference};
pub use content::{CONTENT_BYTES_MAX, Content, Resolution, Revised, Setting, Withheld};
pub use error::Behind;
pub use event::{Event, Resolved};
pub use state::Told;
