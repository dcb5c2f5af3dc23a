//! What every server does: configuration, TLS, callers, health, readiness, metrics, tasks, drain.
//!
//! A service is [`ServiceParts`] built from [`Deps`]; whether it runs alone or with the other three in one process is
//! decided by who calls `build`, and no code of the service knows.

pub mod admin;
pub mod assemble;
pub mod caller;
pub mod config;
pub mod deps;
mod lag;
pub mod metrics;
mod mismatch;
pub mod position;
pub mod process;
pub mod readiness;
pub mod request;
pub mod revocation;
pub mod server;
pub mod tasks;

pub use assemble::{Part, Ports, Running};
pub use caller::Caller;
pub use config::ServerConfig;
pub use deps::{Deps, ServiceParts, moments};
pub use metrics::Metrics;
pub use process::Failure;
pub use readiness::Readiness;
pub use revocation::Revocations;
pub use tasks::TaskGroup;
