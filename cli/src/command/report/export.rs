//! `muster report export`.

mod columns;
mod destination;
mod progress;
mod rows;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use muster_errors::{ErrorCode, Fault};
use muster_proto::report::v1::{ExportPolicyDevicesRequest, ExportPolicyDevicesResponse};

use super::filter::Filter;
use crate::connect::Api;
use crate::flags::Target;
use crate::output::note;
pub use columns::Columns;
use destination::Destination;
use progress::Progress;
pub use rows::{Header, Rows};

/// What can be exported.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A row for each device of a policy
    Policy(Box<Options>),
}

/// Form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Form {
    /// Comma-separated values with a heading, as RFC 4180 says
    #[default]
    Csv,
    /// One JSON object a line
    Ndjson,
}

/// What to export, and whereto.
#[derive(Debug, Args)]
pub struct Options {
    /// The policy's id or name
    policy: String,
    /// Form of the rows
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Names of the columns: Muster's own, or those of Intune's report on the devices of a policy
    #[arg(long, value_enum, default_value_t)]
    columns: Columns,
    /// The file to write, which is there only once it is whole; or - for standard output
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
    /// Which devices
    #[command(flatten)]
    filter: Filter,
    /// How to find the server
    #[command(flatten)]
    target: Target,
}

/// Runs the command.
///
/// # Errors
/// The call's fault, also in the middle of the stream; `CONFIG_INVALID` when the file cannot be written.
pub(super) async fn run(command: Command) -> Result<(), Fault> {
    let Command::Policy(options) = command;
    let Options { policy, format, columns, file, filter, target } = *options;
    let api = Api::connect(&target)?;
    let policy = api.policy(&policy).await?;
    let request = ExportPolicyDevicesRequest { policy: policy.clone(), filter: Some(filter.contract()) };
    let mut messages = api.call(api.reports().export_policy_devices(request)).await?;
    let mut next = async || messages.message().await.map_err(|status| Fault::from_status(&status));

    let first = next().await?.ok_or_else(|| broken("the server sent nothing"))?;
    let ExportPolicyDevicesResponse { total_size, position, display_name, devices, profile, revision } =
        first;
    let header = Header { policy, display_name, profile, revision, position };
    let mut rows = Rows::new(format, columns, header);
    let mut destination = Destination::open(&file)?;
    let mut progress = Progress::begin(total_size);
    destination.write(rows.heading())?;
    let mut devices = Some(devices);
    while let Some(batch) = devices {
        destination.write(rows.encode(&batch))?;
        progress.advance(batch.len());
        devices = next().await?.map(|message| message.devices);
    }
    if progress.done() != u64::from(total_size) {
        return Err(broken(&format!("{} of {total_size} rows came", progress.done())));
    }
    destination.finish()?;
    note(&format!("{total_size} devices at {}", rows.position()));
    Ok(())
}

fn broken(what: &str) -> Fault {
    Fault::new(ErrorCode::Internal, format!("the export is not whole: {what}"))
}
