//! `muster check-in`.

use std::time::Duration;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::convert::duration;
use muster_proto::policy::v1::{CheckInSettings, GetCheckInSettingsRequest, UpdateCheckInSettingsRequest};

use crate::connect::{Api, once, request_id};
use crate::flags::{Read, Write};
use crate::output::Data;
use crate::parse;
use crate::view::check_in as view;

/// Check-ins.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How often devices check in, and how fast changes are told to those that watch
    #[command(subcommand)]
    Settings(Settings),
}

/// Settings of check-ins.
#[derive(Debug, Subcommand)]
pub enum Settings {
    /// Show them
    Get {
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Change them; what is not given stays. A device learns of it at its next check-in
    Set(Box<Change>),
}

/// A change of the settings.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Begin with the defaults: what is not given goes back to its default
    #[arg(long)]
    defaults: bool,
    /// Pause between check-ins, 5m to 24h
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    interval: Option<Duration>,
    /// Pause while a device has a watch open, which tells it of changes: the interval to 24h
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    watched_interval: Option<Duration>,
    /// The first check-ins of a device are closer: this many ...
    #[arg(long, value_name = "NUMBER")]
    first_count: Option<u32>,
    /// ... with this pause
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    first_interval: Option<Duration>,
    /// Then this many ...
    #[arg(long, value_name = "NUMBER")]
    second_count: Option<u32>,
    /// ... with this pause
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    second_interval: Option<Duration>,
    /// Devices hinted a second at most, 1 to 1,000,000; a change for more is spread
    #[arg(long, value_name = "NUMBER")]
    hints_per_second: Option<u32>,
    /// How long a signed policy is good, 1d to 90d
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    policy_life: Option<Duration>,
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
    let Command::Settings(settings) = command;
    match settings {
        Settings::Get { how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let settings = get(&api).await?;
            Data::one(view::settings(&settings), view::SETTINGS).print(output.format)
        }
        Settings::Set(change) => set(*change).await,
    }
}

async fn get(api: &Api) -> Result<CheckInSettings, Fault> {
    let request = GetCheckInSettingsRequest { name: format!("{}/checkInSettings", api.parent()) };
    api.call(api.policies().get_check_in_settings(request)).await
}

async fn set(change: Change) -> Result<(), Fault> {
    let Write { dry_run, target, output } = change.how.clone();
    let api = Api::connect(&target)?;
    let now = get(&api).await?;
    let reason = change.reason.clone();
    let request = UpdateCheckInSettingsRequest {
        check_in_settings: Some(change.of(now)),
        request_id: request_id(),
        validate_only: dry_run,
        reason,
    };
    let settings = api.call(api.policies().update_check_in_settings(once(request))).await?;
    Data::one(view::settings(&settings), view::SETTINGS).print(output.format)
}

impl Change {
    /// The settings as they shall be.
    fn of(self, now: CheckInSettings) -> CheckInSettings {
        let Self {
            defaults,
            interval,
            watched_interval,
            first_count,
            first_interval,
            second_count,
            second_interval,
            hints_per_second,
            policy_life,
            etag,
            reason: _,
            how: _,
        } = self;
        let (name, etag) = (now.name.clone(), etag.unwrap_or_else(|| now.etag.clone()));
        let base = if defaults { CheckInSettings::default() } else { now };
        CheckInSettings {
            name,
            interval: interval.map(duration).or(base.interval),
            watched_interval: watched_interval.map(duration).or(base.watched_interval),
            first_count: first_count.or(base.first_count),
            first_interval: first_interval.map(duration).or(base.first_interval),
            second_count: second_count.or(base.second_count),
            second_interval: second_interval.map(duration).or(base.second_interval),
            hints_per_second: hints_per_second.or(base.hints_per_second),
            policy_life: policy_life.map(duration).or(base.policy_life),
            etag,
            update_time: None,
        }
    }
}
