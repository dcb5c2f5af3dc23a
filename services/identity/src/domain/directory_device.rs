//! A device as a directory knows it.

mod command;
mod error;
mod event;
mod record;
mod state;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::Error;
pub use event::Event;
pub use record::{
    ATTRIBUTE_CHARS_MAX, ATTRIBUTES_MAX, DIRECTORY_ID_CHARS_MAX, JOIN_TYPES, Record, RecordError,
    registration,
};
pub use state::{DirectoryDevice, Known};
