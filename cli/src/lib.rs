//! `muster`: the control plane in one process, its demonstration on this machine, and the commands of admins.
//!
//! Data goes to stdout, everything else to stderr. A failure is one line, `error[CODE]: …`, and an exit code other than 0.

pub mod args;
pub mod command;
pub mod connect;
pub mod files;
pub mod flags;
pub mod manifest;
pub mod output;
pub mod parse;
pub mod quickstart;
pub mod serve;
pub mod view;

use std::cell::Cell;
use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use muster_errors::Fault;
use muster_runtime::config::TelemetryArgs;
use muster_runtime::process::{self, Failure};

use args::{Arguments, Command};

/// Parses the command line, runs the command, and tells how it ended.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Quickstart(options) => {
            process::run(options.telemetry().config("muster"), |tasks| quickstart::run(options, tasks))
        }
        Command::Serve(options) => {
            process::run(options.server.telemetry.config("muster"), |tasks| serve::run(*options, tasks))
        }
        Command::Token(command) => call(command::token::run(command)),
        Command::Device(command) => call(command::device::run(command)),
        Command::Scope(command) => call(command::scope::run(command)),
        Command::CheckIn(command) => call(command::check_in::run(command)),
        Command::Registration(command) => call(command::registration::run(command)),
        Command::TrustAnchor(command) => call(command::trust_anchor::run(command)),
        Command::Loadgen(command) => call(command::loadgen::run(command)),
        Command::Group(command) => call(command::group::run(command)),
        Command::Policy(command) => call(command::policy::run(command)),
        Command::Waiver(command) => call(command::waiver::run(command)),
        Command::Explain(command) => call(command::explain::run(command)),
        Command::History(command) => call(command::history::run(command)),
        Command::Report(command) => call(command::report::run(command)),
        Command::Events(command) => call(command::events::run(command)),
        Command::Log(command) => call(command::log::run(command)),
        Command::Catalog(command) => ended(command::catalog::run(command)),
        Command::Import(command) => ended(command::import::run(&command)),
        Command::Render(options) => ended(command::render::run(&options)),
        Command::Apply(options) => call(command::apply::run(options)),
        Command::Diff(options) => compared(command::diff::run(options)),
        Command::Plan(options) => compared(command::plan::run(options)),
        Command::Export(options) => call(command::export::run(options)),
        Command::Delete(options) => call(command::delete::run(options)),
        Command::Validate(options) => ended(command::validate::run(&options)),
        Command::Error(command) => ended(command::error::run(&command)),
        Command::VerifyPolicy(options) => ended(command::verify_policy::run(&options)),
        Command::Pki(command) => ended(command::pki::run(command)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "muster", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Log lines of a command's own process: only what needs attention.
const COMMAND_LOG_FILTER: &str = "warn";

fn call(command: impl Future<Output = Result<(), Fault>>) -> ExitCode {
    let telemetry = TelemetryArgs { log_filter: COMMAND_LOG_FILTER.to_owned(), ..TelemetryArgs::default() };
    process::run(telemetry.config("muster"), |tasks| async move {
        tokio::select! {
            outcome = command => outcome.map_err(Failure::from),
            () = tasks.stopping().cancelled() => Ok(()),
        }
    })
}

/// Exit code of a comparison that found something.
const DIFFERS: u8 = 2;

/// As [`call`], and tells by the exit code whether something differs.
fn compared(command: impl Future<Output = Result<bool, Fault>>) -> ExitCode {
    let differs = Cell::new(false);
    let ended = call(async {
        differs.set(command.await?);
        Ok(())
    });
    if differs.get() { ExitCode::from(DIFFERS) } else { ended }
}

fn ended(outcome: Result<(), Fault>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            process::tell(&Failure::from(fault));
            ExitCode::FAILURE
        }
    }
}
