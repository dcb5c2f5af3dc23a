//! Report: what devices say, and every number made of it.
//!
//! The way through: [`grpc`] decodes → [`commands`] loads and lets the [`domain`] decide → the log → [`projection`] folds
//! → [`store`] keeps → [`queries`] reads → [`grpc`] encodes. [`wire`] is the only place where domain events meet the
//! payloads of the log.

pub mod config;
pub mod domain;
pub mod wire;

pub mod commands;
pub mod process_manager;

pub mod projection;
pub mod queries;
pub mod store;

pub mod error;
pub mod grpc;
pub mod metrics;

use std::sync::Arc;

use muster_eventlog::project::View;
use muster_runtime::{Deps, Readiness, ServiceParts};
use muster_types::Service;

pub use config::Config;
pub use error::Error;

use commands::Commands;
use grpc::{Exports, Grpc};
use metrics::ReportMetrics;
use process_manager::ProcessManager;
use projection::{Sightings, Standings};
use queries::{Past, Queries};

/// Builds the service and starts its background work on the task group.
///
/// # Errors
/// [`Error`] when the service cannot be set up.
#[expect(
    clippy::unused_async,
    reason = "all services are built the same way, and others ask something first"
)]
pub async fn build(config: Config, deps: Deps) -> Result<ServiceParts, Error> {
    let Config {} = config;
    let standings = deps.follow(Standings::default);
    let sightings = deps.follow(Sightings::default);
    let readiness = {
        let (standings, sightings) = (standings.clone(), sightings.clone());
        Readiness::always()
            .view(Standings::NAME, move || standings.progress())
            .view(Sightings::NAME, move || sightings.progress())
    };
    let metrics = ReportMetrics::register(&deps.metrics);
    let commands = Commands::new(deps.tenant, deps.log.clone(), deps.clock.clone(), sightings.clone());
    let commands = Arc::new(commands);
    let absence =
        ProcessManager::new(commands.clone(), sightings.clone(), deps.clock.clone(), metrics.clone());
    deps.tasks.spawn("absence", absence.run(deps.tasks.stopping().clone()));
    let grpc = Grpc {
        tenant: deps.tenant,
        commands,
        queries: Queries::new(standings),
        past: Past::new(deps.log, deps.moments),
        exports: Exports::until(deps.tasks.stopping().clone()),
        sightings,
        metrics,
    };
    Ok(ServiceParts { service: Service::Report, routes: grpc.routes(), readiness })
}
