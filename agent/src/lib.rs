//! The device's side: onboards, checks in, applies, reads back, reports.
//!
//! [`core`] decides and does nothing; the shell does what it says and decides nothing. [`engine`] brings settings into
//! force, [`facts`] says what the machine is, [`state`] keeps what must survive a restart, [`doctor`] says why it cannot
//! get through. [`Agent`] is all of it, in this process.

mod agent;
mod calls;
mod certificate;
pub mod cli;
mod config;
pub mod core;
pub mod doctor;
pub mod engine;
pub mod engines;
mod error;
pub mod facts;
mod proof;
mod replace;
mod shell;
mod snapshot;
pub mod state;
pub mod troubles;
pub mod wire;

pub use agent::{Agent, is_onboarded};
pub use config::{Config, ProxyEnvironment, STATE_DIR};
pub use error::Error;
pub use snapshot::Snapshot;
