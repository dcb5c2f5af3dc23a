//! The identity service from outside: in process, over real TLS, on a log in memory.

#[cfg(feature = "tpm")]
mod attestation;
mod authority;
mod certificates;
mod directory;
mod directory_views;
mod dynamic_groups;
mod explain;
mod groups;
mod memory;
mod process_manager;
mod proofs;
mod registrations;
mod server;
#[cfg(feature = "tpm")]
#[path = "../../../../crates/pki/tests/it/soft_tpm.rs"]
mod soft_tpm;
mod trust;
mod trust_anchors;
mod views;
