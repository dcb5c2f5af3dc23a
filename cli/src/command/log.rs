//! `muster log`.

use clap::Subcommand;
use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Envelope;
use muster_eventlog::chain::ChainVerifier;
use muster_types::Service;
use serde_json::json;

use crate::command::events;
use crate::connect::Api;
use crate::flags::{Output, Target};
use crate::output::Data;

/// The event log itself.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the whole log and check every stream: versions without a gap, hash chain whole
    Verify {
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// Runs the command.
///
/// # Errors
/// `LOG_CORRUPT` with the place, or the call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    let Command::Verify { target, output } = command;
    let api = Api::connect(&target)?;
    let mut items = Vec::new();
    for service in Service::ALL {
        let mut verifier = ChainVerifier::new(service, false);
        let mut stream = Box::pin(events::tail(&api, service, 0, false).await?);
        let (mut count, mut head) = (0_u64, 0);
        while let Some(event) = stream.next().await {
            let envelope = Envelope::try_from(event?).map_err(corrupt)?;
            verifier.check(&envelope).map_err(corrupt)?;
            (count, head) = (count + 1, envelope.position);
        }
        items.push(json!({"name": service.as_str(), "events": count, "head": head, "chain": "whole"}));
    }
    let columns = &[("service", "/name"), ("events", "/events"), ("head", "/head"), ("chain", "/chain")];
    Data::list("services", items, String::new(), columns).print(output.format)
}

fn corrupt(error: impl std::fmt::Display) -> Fault {
    Fault::new(ErrorCode::LogCorrupt, error.to_string())
}
