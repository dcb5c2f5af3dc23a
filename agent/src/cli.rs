//! The `muster-agent` command.

mod doctor;
mod facts;
mod status;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster_errors::ErrorCode;
use muster_telemetry::{LogFormat, TelemetryConfig};
use muster_types::SystemClock;
use serde_json::Value;

use crate::agent::Agent;
use crate::config::Config;
use crate::error::Error;

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
    /// Prints where the agent of the state folder stands, as JSON: who manages this machine and why, its certificate, what is
    /// in force.
    Status(Config),
    /// Says why this machine cannot get through, or is not managed, and what to do; fails when something must be mended.
    Doctor {
        #[command(flatten)]
        config: Config,
        /// How findings are printed.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Cli {
    /// Does what the command line says.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let Self { command, log_format, log_filter, otlp_endpoint } = self;
        let telemetry =
            TelemetryConfig { otlp_endpoint, log_format, log_filter, ..TelemetryConfig::new("muster-agent") };
        match execute(command, telemetry) {
            Ok(code) => code,
            Err(error) => {
                // A stderr that is closed has nobody to tell.
                drop(writeln!(std::io::stderr(), "error[{}]: {error}", error.code));
                ExitCode::FAILURE
            }
        }
    }
}

fn execute(command: Command, telemetry: TelemetryConfig) -> Result<ExitCode, Error> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Facts(config) => print(&facts::json(&config)).map(done),
        Command::Status(config) => print(&status::json(&config)?).map(done),
        Command::Doctor { config, output } => in_runtime(telemetry, async {
            let findings = crate::doctor::examine(&config, &SystemClock).await;
            print_text(&match output {
                Output::Text => doctor::text(&findings),
                Output::Json => format!("{:#}\n", doctor::json(&findings)),
            })?;
            Ok(doctor::exit_code(&findings))
        }),
        Command::Run(config) => {
            in_runtime(telemetry, async { Agent::new(config)?.run(signalled()).await }).map(done)
        }
        Command::Once(config) => {
            in_runtime(telemetry, async { Agent::new(config)?.once(signalled()).await }).map(done)
        }
    }
}

fn in_runtime<T>(
    telemetry: TelemetryConfig,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
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
    print_text(&format!("{value:#}\n"))
}

fn print_text(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorCode::Internal, "stdout cannot be written").because(error))
        }
        _ => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
