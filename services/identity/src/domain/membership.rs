//! Who is in a dynamic group: what is known of all devices, and what rules say of it.
//!
//! Devices are numbered by their ordinals. Of each property, the devices of each value are a bitmap, so that a rule is
//! answered for the whole fleet by set algebra ([`Index::verdict`]), and for one device by looking its values up
//! ([`Index::says`]). [`Rules`] knows which rules read what, so that a change asks only those whose tests it turns over.

mod column;
mod dictionary;
pub mod directory;
mod fleet;
mod index;
mod ordinals;
mod rules;
mod sets;
#[cfg(test)]
mod tests;

pub use fleet::{Fleet, Marks};
pub use index::Index;
pub use rules::Rules;
