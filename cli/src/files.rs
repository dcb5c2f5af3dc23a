//! Configuration as files: what an admin writes down, read with its places, checked, compared with the server and
//! applied.
//!
//! Text becomes values with places ([`node`]), these become objects ([`set`], one module for each kind), and these are
//! compared with what the server has. Everything that is wrong is told at once ([`mistake`]).

pub mod assignment;
pub mod carry;
pub mod change;
pub mod compare;
pub mod enforcement_scope;
pub mod exported;
pub mod fields;
pub mod group;
pub mod live;
pub mod mistake;
pub mod node;
pub mod policy;
pub mod prepared;
pub mod set;
pub mod source;
#[cfg(test)]
mod tests;
pub mod waiver;
pub mod write;
