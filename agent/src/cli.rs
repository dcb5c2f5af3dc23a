//! The `muster-agent` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster_errors::ErrorCode;
use muster_pki::peer;
use muster_telemetry::{LogFormat, TelemetryConfig};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::config::Config;
use crate::error::Error;
use crate::facts::{Survey, survey};
use crate::state::StateDir;

/// The device's side of Muster: keeps this machine under policy.
#[derive(Debug, Parser)]
#[command(name = "muster-agent", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines look (text, json).
    #[arg(long, global = true, env = "MUSTER_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What is logged.
    #[arg(long, global = true, env = "RUST_LOG", default_value = muster_telemetry::DEFAULT_FILTER)]
    log_filter: String,
    /// Where to send traces by OTLP over gRPC.
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Onboards if need be, and keeps this machine under policy until it is stopped.
    Run(Config),
    /// Checks in once, applies and reports what comes of it, and ends.
    Once(Config),
    /// Prints what would be told of this machine, as JSON.
    Facts(Config),
    /// Prints where the agent of the state folder stands, as JSON.
    Status(Config),
}

impl Cli {
    /// Does what the command line says.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let Self { command, log_format, log_filter, otlp_endpoint } = self;
        let telemetry =
            TelemetryConfig { otlp_endpoint, log_format, log_filter, ..TelemetryConfig::new("muster-agent") };
        match execute(command, telemetry) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // A stderr that is closed has nobody to tell.
                drop(writeln!(std::io::stderr(), "error[{}]: {error}", error.code));
                ExitCode::FAILURE
            }
        }
    }
}

fn execute(command: Command, telemetry: TelemetryConfig) -> Result<(), Error> {
    match command {
        Command::Facts(config) => print(&facts(&config)),
        Command::Status(config) => print(&status(&config)?),
        Command::Run(config) => in_runtime(telemetry, async { Agent::new(config)?.run(signalled()).await }),
        Command::Once(config) => in_runtime(telemetry, async { Agent::new(config)?.once(signalled()).await }),
    }
}

fn in_runtime(
    telemetry: TelemetryConfig,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let internal = |error: std::io::Error| Error::new(ErrorCode::Internal, "no runtime").because(error);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(internal)?;
    runtime.block_on(async {
        let _guard = muster_telemetry::init(telemetry)
            .map_err(|error| Error::new(ErrorCode::ConfigInvalid, error.to_string()))?;
        Box::pin(work).await
    })
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

fn print(value: &Value) -> Result<(), Error> {
    match writeln!(std::io::stdout(), "{value:#}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorCode::Internal, "stdout cannot be written").because(error))
        }
        _ => Ok(()),
    }
}

fn facts(config: &Config) -> Value {
    let Survey { facts, gaps } = survey(&config.facts_root);
    let products: Vec<_> = facts
        .security_products
        .iter()
        .map(|product| json!({"id": product.id, "version": product.version}))
        .collect();
    json!({
        "platform": "linux",
        "hostname": facts.hostname,
        "os_id": facts.os_id,
        "os_version": facts.os_version,
        "os_name": facts.os_name,
        "kernel_release": facts.kernel_release,
        "architecture": facts.architecture,
        "agent_version": facts.agent_version,
        "hardware_digest": hex(&facts.hardware_digest),
        "board_vendor": facts.board_vendor,
        "product_name": facts.product_name,
        "security_products": products,
        "gaps": gaps,
    })
}

fn status(config: &Config) -> Result<Value, Error> {
    let state = StateDir::peek(&config.state_dir);
    let enrollment = state.enrollment()?;
    let certificate = enrollment.as_ref().and_then(|enrollment| enrollment.certificate_chain_der.first());
    let peer = certificate.and_then(|der| peer::read(der).ok());
    let applied = state.progress()?.applied;
    Ok(json!({
        "device": enrollment.map(|enrollment| enrollment.device),
        "spiffe_id": peer.as_ref().map(|peer| peer.id.to_string()),
        "certificate_expires_at": peer.map(|peer| peer.not_after.to_string()),
        "applied": applied.map(|(etag, version, at)| {
            json!({"etag": hex(&etag), "version": version, "at": at.to_string()})
        }),
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
