//! Runs the report service alone.

use std::process::ExitCode;

use clap::Parser;
use muster_runtime::{Part, ServerConfig, assemble, process};
use muster_types::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What devices say of Muster's settings, and every number made of it
#[derive(Parser)]
#[command(name = "muster-report", version)]
struct Args {
    #[command(flatten)]
    server: ServerConfig,
    #[command(flatten)]
    report: muster_report::Config,
}

fn main() -> ExitCode {
    let Args { server, report } = Args::parse();
    process::run(server.telemetry.config("muster-report"), |tasks| {
        let part = Part::new(Service::Report, |deps| muster_report::build(report, deps));
        assemble::run_alone(server, part, tasks)
    })
}
