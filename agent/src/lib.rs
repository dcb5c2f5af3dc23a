//! The device's side: onboards, checks in, applies, reads back, reports.
//!
//! [`core`] decides and does nothing; the shell does what it says and decides nothing. [`engine`] brings settings into
//! force, [`facts`] says what the machine is, [`state`] keeps what must survive a restart. [`Agent`] is all of it, in
//! this process.

mod agent;
mod calls;
pub mod cli;
mod config;
pub mod core;
pub mod engine;
pub mod engines;
mod error;
pub mod facts;
mod replace;
mod shell;
mod snapshot;
pub mod state;
pub mod wire;

pub use agent::{Agent, is_onboarded};
pub use config::{Config, STATE_DIR};
pub use error::Error;
pub use snapshot::Snapshot;
