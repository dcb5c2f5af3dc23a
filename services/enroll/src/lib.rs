//! Enroll, the front door: onboarding tokens, onboarding, and the device inventory.
//!
//! The way through: [`grpc`] decodes → [`commands`] loads and lets the [`domain`] decide → the log → [`projection`] folds
//! → [`store`] keeps → [`queries`] reads → [`grpc`] encodes. [`wire`] is the only place where domain events meet the
//! payloads of the log. [`process_manager`] completes what a crash left in the middle.

pub mod config;
pub mod domain;
pub mod wire;

pub mod filter;

pub mod commands;
pub mod process_manager;

pub mod projection;
pub mod queries;
pub mod store;

pub mod admission;
pub mod error;
pub mod grpc;
pub mod metrics;

use std::sync::Arc;
use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::project::View;
use muster_proto::enroll::v1 as pb;
use muster_runtime::{Deps, Readiness, ServiceParts};
use muster_types::Service;

pub use config::Config;
pub use error::Error;

use admission::Admission;
use commands::Commands;
use grpc::{Grpc, IdentityClient, Welcome};
use metrics::EnrollMetrics;
use process_manager::redecide::Redecisions;
use projection::{Devices, Settings, Tokens};
use queries::Queries;

/// Longest wait for identity, with retries; the device that is onboarded waits meanwhile.
const IDENTITY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Builds the service and starts its background work on the task group.
///
/// # Errors
/// [`Error`] when an option is missing or the service's certificate cannot be used.
#[expect(
    clippy::unused_async,
    reason = "all services are built the same way, and others ask something first"
)]
pub async fn build(config: Config, deps: Deps) -> Result<ServiceParts, Error> {
    let metrics = EnrollMetrics::register(&deps.metrics);
    let (in_flight, rate) = (config.onboardings_in_flight_max, config.onboarding_rate_max);
    let admission = Admission::new(in_flight, rate, deps.clock.clone(), metrics.clone());
    let (welcome, identity) = neighbours(config, &deps)?;
    let devices = deps.follow(Devices::default);
    let tokens = deps.follow(Tokens::default);
    let settings = deps.follow(Settings::default);
    let queries = Queries::new(deps.log.clone(), devices.clone(), tokens.clone(), settings.clone());
    let commands =
        Arc::new(Commands::new(deps.log.clone(), deps.clock.clone()).seeing(Arc::new(queries.clone())));
    let (log, kv, stopping) = (deps.log.clone(), deps.kv.clone(), deps.tasks.stopping().clone());
    let redecisions = Redecisions::new(commands.clone(), queries.clone(), log.clone());
    deps.tasks.spawn("enroll redecisions", redecisions.run(deps.tenant, kv.clone(), stopping.clone()));
    deps.tasks
        .spawn("enroll process manager", process_manager::identity::run(commands.clone(), log, kv, stopping));
    let readiness = Readiness::always()
        .view(Devices::NAME, move || devices.progress())
        .view(Tokens::NAME, move || tokens.progress())
        .view(Settings::NAME, move || settings.progress());
    let grpc = Grpc {
        tenant: deps.tenant,
        commands,
        queries,
        identity,
        welcome,
        clock: deps.clock,
        admission,
        metrics,
    };
    Ok(ServiceParts { service: Service::Enroll, routes: grpc.routes(), readiness })
}

/// What the configuration says of the other services.
fn neighbours(config: Config, deps: &Deps) -> Result<(Welcome, IdentityClient), Error> {
    let Config {
        identity_url,
        public_enroll_url,
        public_identity_url,
        public_policy_url,
        public_report_url,
        onboardings_in_flight_max: _,
        onboarding_rate_max: _,
    } = config;
    let needed = |option: &str, url: Option<String>| {
        let missing = || Fault::new(ErrorCode::ConfigInvalid, format!("{option} must be set"));
        url.ok_or_else(|| missing().with_field(option, "must be set"))
    };
    let key = |(id, key): (&str, &[u8; 32])| pb::PolicyVerificationKey {
        key_id: id.to_owned(),
        ed25519_public_key: key.to_vec(),
    };
    let welcome = Welcome {
        endpoints: pb::Endpoints {
            enroll: needed("--public-enroll-url", public_enroll_url)?,
            identity: needed("--public-identity-url", public_identity_url)?,
            policy: needed("--public-policy-url", public_policy_url)?,
            report: needed("--public-report-url", public_report_url)?,
        },
        policy_keys: deps.trust.policy_trust().keys().map(key).collect(),
    };
    let url = needed("--identity-url", identity_url)?;
    let mut options = ConnectOptions::new(url, deps.trust.ca_certs().to_vec())
        .with_identity(deps.trust.service_identity(Service::Enroll)?);
    options.call_timeout = IDENTITY_WAIT_MAX;
    let client = Client::connect(options)?;
    Ok((welcome, IdentityClient::new(&client)))
}
