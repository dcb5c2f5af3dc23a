//! `muster serve`: the four services in one process.

use muster_runtime::TaskGroup;
use muster_runtime::assemble::{self, Part, Ports, Running};
use muster_runtime::config::ServerConfig;
use muster_runtime::process::Failure;
use muster_types::Service;

/// Options of the control plane.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Options every server has
    #[command(flatten)]
    pub server: ServerConfig,
    /// Options of the enroll service
    #[command(flatten)]
    pub enroll: muster_enroll::Config,
    /// Options of the identity service
    #[command(flatten)]
    pub identity: muster_identity::Config,
    /// Options of the policy service
    #[command(flatten)]
    pub policy: muster_policy::Config,
    /// Options of the report service
    #[command(flatten)]
    pub report: muster_report::Config,
}

impl Options {
    /// The defaults, on a given server.
    #[must_use]
    pub fn on(server: ServerConfig) -> Self {
        Self {
            server,
            enroll: muster_enroll::Config::default(),
            identity: muster_identity::Config::default(),
            policy: muster_policy::Config::default(),
            report: muster_report::Config::default(),
        }
    }
}

/// Starts the control plane; it runs until the group stops.
///
/// # Errors
/// [`Failure`] of whatever part cannot start; nothing then stays listening.
pub async fn start(options: Options, tasks: &TaskGroup) -> Result<Running, Failure> {
    let Options { server, enroll, identity, policy, report } = options;
    let ports = Ports::take(&server).await?;
    let enroll = enroll.served_at(&ports.endpoint());
    let policy = policy.served_at(&ports.endpoint());
    let parts = vec![
        Part::new(Service::Enroll, move |deps| muster_enroll::build(enroll, deps)),
        Part::new(Service::Identity, move |deps| muster_identity::build(identity, deps)),
        Part::new(Service::Policy, move |deps| muster_policy::build(policy, deps)),
        Part::new(Service::Report, move |deps| muster_report::build(report, deps)),
    ];
    assemble::start(&server, ports, parts, tasks).await
}

/// Runs the control plane until the group stops.
///
/// # Errors
/// As [`start`].
pub async fn run(options: Options, tasks: TaskGroup) -> Result<(), Failure> {
    let running = start(options, &tasks).await?;
    crate::output::note(&format!(
        "serving at {}, probes at {}; commands on this machine find it by its data folder; Ctrl-C ends it",
        running.endpoint, running.admin_url
    ));
    tasks.stopping().cancelled().await;
    Ok(())
}
