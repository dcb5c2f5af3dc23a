//! Identity, the directory and trust: registrations of devices, their certificates, and groups.
//!
//! The way through: [`grpc`] decodes → [`commands`] loads and lets the [`domain`] decide → the log → [`projection`] folds
//! → [`store`] keeps → [`queries`] reads → [`grpc`] encodes. [`wire`] is the only place where domain events meet the
//! payloads of the log. It reacts to nobody's events, so there is no process manager.

pub mod config;
pub mod domain;
pub mod wire;

pub mod commands;

pub mod projection;
pub mod queries;
pub mod store;

pub mod error;
pub mod grpc;
pub mod metrics;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::project::View;
use muster_runtime::{Deps, Readiness, ServiceParts};
use muster_types::Service;

pub use config::Config;
pub use error::Error;

use commands::Commands;
use grpc::Grpc;
use metrics::IdentityMetrics;
use projection::{Groups, Registrations};
use queries::Queries;

/// Builds the service and starts its background work on the task group.
///
/// # Errors
/// [`Error`] when there is no authority to issue certificates by.
#[expect(
    clippy::unused_async,
    reason = "all services are built the same way, and others ask something first"
)]
pub async fn build(config: Config, deps: Deps) -> Result<ServiceParts, Error> {
    let Config {} = config;
    let missing = || Fault::new(ErrorCode::ConfigInvalid, "identity issues certificates and needs ca.key");
    let authority = deps.trust.authority().ok_or_else(missing)?.clone();
    let registrations = deps.follow(Registrations::default);
    let groups = deps.follow(Groups::default);
    let readiness = {
        let (registrations, groups) = (registrations.clone(), groups.clone());
        Readiness::always()
            .view(Registrations::NAME, move || registrations.progress())
            .view(Groups::NAME, move || groups.progress())
    };
    let grpc = Grpc {
        tenant: deps.tenant,
        commands: Commands::new(deps.log.clone(), deps.clock.clone()),
        queries: Queries::new(registrations, groups),
        authority,
        trust_bundle_der: deps.trust.ca_certs().iter().map(|cert| cert.to_vec()).collect(),
        clock: deps.clock,
        metrics: IdentityMetrics::register(&deps.metrics),
    };
    Ok(ServiceParts { service: Service::Identity, routes: grpc.routes(), readiness })
}
