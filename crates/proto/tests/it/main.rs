//! The contract from outside.

mod events;
