//! Identity, the directory and trust: registrations of devices, their certificates, and groups.
//!
//! The way through: [`grpc`] decodes → [`commands`] loads and lets the [`domain`] decide → the log → [`projection`] folds
//! → [`store`] keeps → [`queries`] reads → [`grpc`] encodes. [`wire`] is the only place where domain events meet the
//! payloads of the log. [`process_manager`] does what events of enroll and policy ask for.

pub mod config;
pub mod domain;
pub mod wire;

pub mod admission;
pub mod attestation;
pub mod commands;
pub mod issuing;
pub mod process_manager;
pub mod proof;

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

use admission::Renewals;
use attestation::Attestations;
use commands::Commands;
use grpc::Grpc;
use issuing::Issuing;
use metrics::IdentityMetrics;
use process_manager::ProcessManager;
use process_manager::matching::Matching;
use process_manager::membership::{Ages, Following};
use projection::membership::Marked;
use projection::{Directory, Groups, Hardware, Histories, Membership, Registrations, TrustAnchors};
use proof::Proofs;
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
    let issuing = Issuing::new(&deps.trust, config.certificate_validity())?;
    let registrations = deps.follow(Registrations::default);
    let groups = deps.follow(Groups::default);
    let trust_anchors = deps.follow(TrustAnchors::default);
    let directory = deps.follow(Directory::default);
    let hardware = deps.follow(Hardware::default);
    let histories = deps.follow(Histories::default);
    let marked = Arc::new(Marked::default());
    let membership = {
        let marked = marked.clone();
        deps.follow(move || Membership::new(marked.clone()))
    };
    let readiness = {
        let (registrations, groups) = (registrations.clone(), groups.clone());
        let (anchors, directory, hardware) = (trust_anchors.clone(), directory.clone(), hardware.clone());
        let (membership, histories) = (membership.clone(), histories.clone());
        Readiness::always()
            .view(Registrations::NAME, move || registrations.progress())
            .view(Groups::NAME, move || groups.progress())
            .view(TrustAnchors::NAME, move || anchors.progress())
            .view(Directory::NAME, move || directory.progress())
            .view(Hardware::NAME, move || hardware.progress())
            .view(Membership::NAME, move || membership.progress())
            .view(Histories::NAME, move || histories.progress())
    };
    let commands = Arc::new(Commands::new(deps.log.clone(), deps.clock.clone()));
    let queries =
        Queries::new(registrations, groups, trust_anchors, directory, hardware, membership, histories);
    let metrics = IdentityMetrics::register(&deps.metrics);
    metrics::standings::count(&deps.metrics, queries.clone());
    let (log, kv, stopping) = (deps.log.clone(), deps.kv.clone(), deps.tasks.stopping().clone());
    let reacting =
        ProcessManager { commands: commands.clone(), queries: queries.clone(), metrics: metrics.clone() };
    deps.tasks.spawn("identity process manager", reacting.run(log, kv, stopping));
    let matching =
        Matching { commands: commands.clone(), queries: queries.clone(), metrics: metrics.clone() };
    let (log, kv, stopping) = (deps.log.clone(), deps.kv.clone(), deps.tasks.stopping().clone());
    deps.tasks.spawn("identity directory matching", matching.run(log, kv, stopping));
    let ages = Ages::default();
    let following = Following {
        tenant: deps.tenant,
        commands: commands.clone(),
        queries: queries.clone(),
        marked,
        ages: ages.clone(),
        metrics: metrics.clone(),
    };
    deps.tasks.spawn("identity membership", following.run(deps.tasks.stopping().clone()));
    let attestations = Attestations::of_this_build();
    let grpc = Grpc {
        tenant: deps.tenant,
        log: deps.log.clone(),
        moments: deps.moments.clone(),
        commands,
        proofs: Proofs::new(queries.clone(), attestations.clone().map(|taken| taken as _)),
        attestations,
        queries,
        issuing,
        renewals: Renewals::default(),
        ages,
        metrics,
    };
    Ok(ServiceParts { service: Service::Identity, routes: grpc.routes(), readiness })
}
