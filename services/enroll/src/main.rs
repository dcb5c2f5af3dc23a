//! Runs the enroll service alone.

use std::process::ExitCode;

use clap::Parser;
use muster_runtime::{Part, ServerConfig, assemble, process};
use muster_types::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The front door of Muster: onboarding, onboarding tokens, device inventory
#[derive(Parser)]
#[command(name = "muster-enroll", version)]
struct Args {
    #[command(flatten)]
    server: ServerConfig,
    #[command(flatten)]
    enroll: muster_enroll::Config,
}

fn main() -> ExitCode {
    let Args { server, enroll } = Args::parse();
    let enroll = enroll.served_at(&format!("https://{}", server.listen));
    process::run(server.telemetry.config("muster-enroll"), |tasks| {
        let part = Part::new(Service::Enroll, |deps| muster_enroll::build(enroll, deps));
        assemble::run_alone(server, part, tasks)
    })
}
