//! Managed configurations of security products, and the settings they are made of, in both directions. No I/O.

pub mod json;
pub mod place;

pub use place::Form;
