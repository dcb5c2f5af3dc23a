//! The commands, one module each: what can be typed, then one call, then what is printed.

pub mod apply;
pub mod catalog;
pub mod check_in;
pub mod delete;
pub mod device;
pub mod diff;
pub mod error;
pub mod events;
pub mod explain;
pub mod export;
pub mod group;
pub mod import;
pub mod loadgen;
pub mod log;
pub mod pki;
pub mod plan;
pub mod policy;
pub mod registration;
pub mod render;
pub mod report;
pub mod scope;
pub mod token;
pub mod trust_anchor;
pub mod validate;
pub mod verify_policy;
pub mod waiver;
