//! Muster.

pub mod nats;
pub mod wire;
