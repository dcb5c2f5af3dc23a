//! Runs the identity service alone.

use std::process::ExitCode;

use clap::Parser;
use muster_runtime::{Part, ServerConfig, assemble, process};
use muster_types::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The directory of Muster: registrations, certificates, groups
#[derive(Parser)]
#[command(name = "muster-identity", version)]
struct Args {
    #[command(flatten)]
    server: ServerConfig,
    #[command(flatten)]
    identity: muster_identity::Config,
}

fn main() -> ExitCode {
    let Args { server, identity } = Args::parse();
    process::run(server.telemetry.config("muster-identity"), |tasks| {
        let part = Part::new(Service::Identity, |deps| muster_identity::build(identity, deps));
        assemble::run_alone(server, part, tasks)
    })
}
