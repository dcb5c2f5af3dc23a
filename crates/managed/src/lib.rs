//! Managed configurations of security products, and the settings they are made of, in both directions. No I/O.
//!
//! [`import`] turns a configuration into settings and a report in which every key stands that was not taken over as it
//! was; [`render`] and [`registry`] say what settings become on a device. The agent writes and reads back by the same
//! places ([`Form::path`]) and paths ([`json`]).

pub mod import;
mod invalid;
pub mod json;
pub mod place;
mod plist;
pub mod registry;
pub mod render;
pub mod report;

pub use invalid::Invalid;
pub use place::Form;

/// Largest configuration that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting of a configuration that is read.
pub const DEPTH_MAX: u32 = 64;
