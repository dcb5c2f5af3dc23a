//! Runs the policy service alone.

use std::process::ExitCode;

use clap::Parser;
use muster_runtime::{Part, ServerConfig, assemble, process};
use muster_types::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Policies of Muster: authoring, assignment, resolving, check-in
#[derive(Parser)]
#[command(name = "muster-policy", version)]
struct Args {
    #[command(flatten)]
    server: ServerConfig,
    #[command(flatten)]
    policy: muster_policy::Config,
}

fn main() -> ExitCode {
    let Args { server, policy } = Args::parse();
    process::run(server.telemetry.config("muster-policy"), move |tasks| {
        let part = Part::new(Service::Policy, move |deps| muster_policy::build(policy, deps));
        assemble::run_alone(server, part, tasks)
    })
}
