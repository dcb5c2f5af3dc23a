//! Policies on their way to devices: what was sent, and what devices say before it is in force.

mod event;
mod memory;
#[cfg(test)]
mod tests;

pub use event::{Delivered, Event, Step, events};
pub use memory::Memory;
