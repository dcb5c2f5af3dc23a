//! `muster report settings`.

use std::time::Duration;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::convert::duration;
use muster_proto::report::v1::{GetReportSettingsRequest, ReportSettings, UpdateReportSettingsRequest};

use crate::connect::{Api, once, request_id};
use crate::flags::{Read, Write};
use crate::output::Data;
use crate::parse;
use crate::view::report_settings as view;

/// Settings of reports.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show them
    Get {
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Change them; what is not given stays
    Set(Box<Change>),
}

/// A change of the settings.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Begin with the defaults: what is not given goes back to its default
    #[arg(long)]
    defaults: bool,
    /// A device that was not heard of for so long is stale, 2h to 365d
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    stale_after: Option<Duration>,
    /// A setting that a device put back so often is suspected to be worked against, 1 to 1,000
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    drift_after: Option<u32>,
    /// Etag the settings must still have [default: as they are now]
    #[arg(long)]
    etag: Option<String>,
    /// Why, for those who read the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// How
    #[command(flatten)]
    how: Write,
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Get { how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let settings = get(&api).await?;
            Data::one(view::settings(&settings), view::SETTINGS).print(output.format)
        }
        Command::Set(change) => set(*change).await,
    }
}

async fn get(api: &Api) -> Result<ReportSettings, Fault> {
    let request = GetReportSettingsRequest { name: format!("{}/reportSettings", api.parent()) };
    api.call(api.reports().get_report_settings(request)).await
}

async fn set(change: Change) -> Result<(), Fault> {
    let Write { dry_run, target, output } = change.how.clone();
    let api = Api::connect(&target)?;
    let now = get(&api).await?;
    let reason = change.reason.clone();
    let request = UpdateReportSettingsRequest {
        report_settings: Some(change.of(now)),
        request_id: request_id(),
        validate_only: dry_run,
        reason,
    };
    let settings = api.call(api.reports().update_report_settings(once(request))).await?;
    Data::one(view::settings(&settings), view::SETTINGS).print(output.format)
}

impl Change {
    /// The settings as they shall be.
    fn of(self, now: ReportSettings) -> ReportSettings {
        let Self { defaults, stale_after, drift_after, etag, reason: _, how: _ } = self;
        let (name, etag) = (now.name.clone(), etag.unwrap_or_else(|| now.etag.clone()));
        let base = if defaults { ReportSettings::default() } else { now };
        ReportSettings {
            name,
            stale_after: stale_after.map(duration).or(base.stale_after),
            drift_after: drift_after.unwrap_or(base.drift_after),
            etag,
            update_time: None,
        }
    }
}
