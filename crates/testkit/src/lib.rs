//! Muster.

pub mod nats;
pub mod ports;
pub mod wire;
