//! Policy: what devices shall be set to, resolved for each of them, and how they get it.
//!
//! The way through: [`grpc`] decodes → [`commands`] checks settings against the catalogue, loads and lets the [`domain`]
//! decide → the log → [`projection`] folds three logs into what each device shall be set to
//! ([`domain::resolve`], a pure function, once per distinct input) → [`store`] keeps → [`queries`] reads → [`grpc`]
//! encodes. [`wire`] is the only place where domain events meet the payloads of the log. [`checkin`] is what a device is
//! answered and the signature under it, [`mod@watch`] who waits for a hint that a check-in is worth it, [`attendance`] who
//! was there and whether one identity lives twice, [`mod@delivery`] what went out.

pub mod config;
pub mod domain;
pub mod wire;

pub mod commands;
pub mod history;
pub mod process_manager;

pub mod projection;
pub mod queries;
pub mod store;

pub mod attendance;
pub mod checkin;
pub mod delivery;
pub mod watch;

pub mod error;
pub mod grpc;
pub mod metrics;

use std::sync::Arc;
use std::time::Duration;

use muster_catalog::Catalogue;
use muster_client::{Client, ConnectOptions};
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::project::{self, Projected, View};
use muster_runtime::{Deps, Readiness, ServiceParts};
use muster_types::Service;

pub use config::Config;
pub use error::Error;

use attendance::{Attendance, Presence};
use checkin::Documents;
use commands::Commands;
use delivery::Deliveries;
use grpc::{Grpc, IdentityClient, PolicyKeys};
use metrics::PolicyMetrics;
use process_manager::ProcessManager;
use process_manager::telling::Telling;
use projection::{Fleet, Past, Resolutions};
use queries::Queries;
use watch::Watches;

/// Longest wait for identity, with retries; the admin who plans waits meanwhile.
const IDENTITY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Builds the service and starts its background work on the task group.
///
/// # Errors
/// [`Error`] when the key that signs policies is missing.
#[expect(
    clippy::unused_async,
    reason = "all services are built the same way, and others ask something first"
)]
pub async fn build(config: Config, deps: Deps) -> Result<ServiceParts, Error> {
    let (grpc, fleet) = grpc(config, &deps)?;
    let readiness = Readiness::always().view(Fleet::NAME, move || fleet.progress());
    Ok(ServiceParts { service: Service::Policy, routes: grpc.routes(), readiness })
}

/// Starts the view and puts together what answers calls; for servers, and for tests without one.
///
/// # Errors
/// [`Error`] when the key that signs policies is missing.
pub fn grpc(config: Config, deps: &Deps) -> Result<(Grpc, Projected<Fleet>), Error> {
    let Config { presence_seconds, policy_identity_url } = config;
    let signer = deps.trust.policy_signer().cloned().ok_or(Error::SigningKeyMissing)?;
    let catalogue = Catalogue::builtin();
    let metrics = PolicyMetrics::register(&deps.metrics);
    let watches = Watches::new(metrics.clone());
    let fleet = {
        let (watches, metrics) = (watches.clone(), metrics.clone());
        deps.follow(move || Fleet::new(catalogue, watches.clone(), metrics.clone()))
    };
    let (clock, log) = (deps.clock.clone(), deps.log.clone());
    let attendance = Attendance::default();
    let presence = Presence {
        attendance: attendance.clone(),
        tenant: deps.tenant,
        log: log.clone(),
        clock: clock.clone(),
        every: Duration::from_secs(presence_seconds.max(1)),
        metrics: metrics.clone(),
    };
    let deliveries = Deliveries::default();
    let delivered = delivery::Telling {
        deliveries: deliveries.clone(),
        tenant: deps.tenant,
        log: log.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let resolved = Telling {
        fleet: fleet.clone(),
        told: deps.follow(Resolutions::default),
        tenant: deps.tenant,
        log: log.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    deps.tasks.spawn("hints", watches.clone().run(deps.tasks.stopping().clone()));
    deps.tasks.spawn("presence", presence.run(deps.tasks.stopping().clone()));
    deps.tasks.spawn("deliveries", delivered.run(deps.tasks.stopping().clone()));
    deps.tasks.spawn("resolutions-told", resolved.run(deps.tasks.stopping().clone()));
    let commands = Commands::new(deps.tenant, log.clone(), clock.clone(), catalogue, fleet.clone());
    let commands = Arc::new(commands);
    let expiry = ProcessManager { commands: commands.clone(), fleet: fleet.clone(), clock: clock.clone() };
    deps.tasks.spawn("waiver-expiry", expiry.run(deps.tasks.stopping().clone()));
    let grpc = Grpc {
        tenant: deps.tenant,
        identity: identity(policy_identity_url, deps)?,
        commands,
        queries: Queries::new(fleet.clone(), past(&fleet, &metrics, deps), log, clock.now()),
        moments: deps.moments.clone(),
        attendance,
        deliveries,
        watches,
        signer,
        policy_keys: PolicyKeys::new(deps.trust.policy_trust()),
        documents: Documents::default(),
        clock,
        tasks: deps.tasks.clone(),
        metrics,
    };
    Ok((grpc, fleet))
}

/// Starts to read the past once the fleet is there: devices are answered first.
fn past(fleet: &Projected<Fleet>, metrics: &PolicyMetrics, deps: &Deps) -> Projected<Past> {
    let (metrics, stopping) = (metrics.clone(), deps.tasks.stopping().clone());
    let fresh = move || Past::new(metrics.clone());
    let ending = stopping.clone().cancelled_owned();
    let (past, folding) = project::start(deps.log.clone(), Arc::new(MemoryKv::default()), fresh, ending);
    let mut progress = fleet.watch();
    deps.tasks.spawn(Past::NAME, async move {
        let is_there = async { progress.wait_for(|progress| progress.caught_up).await.is_ok() };
        tokio::select! {
            is_there = is_there => if is_there { folding.await },
            () = stopping.cancelled() => {}
        }
    });
    past
}

/// What asks identity, with this service's own certificate.
fn identity(url: Option<String>, deps: &Deps) -> Result<IdentityClient, Error> {
    let Some(url) = url else { return Ok(IdentityClient::default()) };
    let mut options = ConnectOptions::new(url, deps.trust.ca_certs().to_vec())
        .with_identity(deps.trust.service_identity(Service::Policy)?);
    options.call_timeout = IDENTITY_WAIT_MAX;
    Ok(IdentityClient::new(Some(Client::connect(options)?)))
}
