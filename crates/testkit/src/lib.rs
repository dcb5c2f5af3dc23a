//! Muster.

pub mod nats;
