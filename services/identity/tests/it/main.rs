//! The identity service from outside: in process, over real TLS, on a log in memory.

mod authority;
mod certificates;
mod directory;
mod directory_views;
mod groups;
mod memory;
mod process_manager;
mod proofs;
mod registrations;
mod server;
mod trust;
mod trust_anchors;
mod views;
