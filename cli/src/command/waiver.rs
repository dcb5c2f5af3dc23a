//! `muster waiver`.

use std::time::Duration;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::convert::timestamp;
use muster_proto::policy::v1::waiver::Target as Exempted;
use muster_proto::policy::v1::{
    CreateWaiverRequest, GetWaiverRequest, ListWaiversRequest, RevokeWaiverRequest, Waiver,
};
use muster_types::{Clock as _, SystemClock, Timestamp};

use crate::connect::{Api, once, request_id};
use crate::flags::{Page, Read, Write};
use crate::output::Data;
use crate::view::policy as view;

/// Exemptions of devices from settings or policies, for a time.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Exempt the devices of a group, or one device
    Grant(Grant),
    /// List waivers by the time they were granted
    List {
        /// Only those that are active
        #[arg(long)]
        active: bool,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Show one waiver
    #[command(visible_alias = "describe")]
    Get {
        /// The waiver's id
        waiver: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// End a waiver before its time
    Revoke {
        /// The waiver's id
        waiver: String,
        /// Why, for those who read the history
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
}

/// A waiver to grant.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("exempt").args(["setting", "policy"]).required(true).multiple(true))]
#[command(group = clap::ArgGroup::new("who").args(["group", "device"]).required(true))]
#[command(group = clap::ArgGroup::new("end").args(["lasts", "until"]).required(true))]
pub struct Grant {
    /// The setting, as the catalogue names it [default: all settings of --policy]
    #[arg(long, value_name = "ID")]
    setting: Option<String>,
    /// The policy's id or name [default: whatever policy carries --setting]
    #[arg(long)]
    policy: Option<String>,
    /// The group's id or name
    #[arg(long)]
    group: Option<String>,
    /// The device's id or host name
    #[arg(long)]
    device: Option<String>,
    /// How long it lasts: 12h, 7d; at most 366d
    #[arg(long = "for", value_name = "TIME", value_parser = crate::parse::duration)]
    lasts: Option<Duration>,
    /// When it ends, for example 2026-12-31T00:00:00Z
    #[arg(long, value_name = "MOMENT")]
    until: Option<Timestamp>,
    /// Why
    #[arg(long)]
    reason: String,
    /// Who approved it
    #[arg(long, value_name = "NAME")]
    approver: String,
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
        Command::Grant(waiver) => grant(waiver).await,
        Command::List { active, page: Page { page_size, page_token }, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let request =
                ListWaiversRequest { parent: api.parent(), active_only: active, page_size, page_token };
            let reply = api.call(api.policies().list_waivers(request)).await?;
            let items = reply.waivers.iter().map(view::waiver).collect();
            Data::list("waivers", items, reply.next_page_token, view::WAIVER).print(output.format)
        }
        Command::Get { waiver, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.name("waivers", &waiver);
            let waiver = api.call(api.policies().get_waiver(GetWaiverRequest { name })).await?;
            Data::one(view::waiver(&waiver), view::WAIVER_DETAIL).print(output.format)
        }
        Command::Revoke { waiver, reason, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.name("waivers", &waiver);
            let request =
                RevokeWaiverRequest { name, request_id: request_id(), validate_only: dry_run, reason };
            let waiver = api.call(api.policies().revoke_waiver(once(request))).await?;
            Data::one(view::waiver(&waiver), view::WAIVER_DETAIL).print(output.format)
        }
    }
}

async fn grant(grant: Grant) -> Result<(), Fault> {
    let Grant { setting, policy, group, device, lasts, until, reason, approver, how } = grant;
    let Write { dry_run, target, output } = how;
    let api = Api::connect(&target)?;
    let policy = match policy {
        Some(policy) => api.policy(&policy).await?,
        None => String::new(),
    };
    let exempted = match (group, device) {
        (Some(group), _) => Some(Exempted::Group(api.group(&group).await?)),
        (None, Some(device)) => Some(Exempted::Device(api.device(&device).await?)),
        (None, None) => None,
    };
    let expire = lasts.map(|lasts| SystemClock.now().plus(lasts)).or(until);
    let waiver = Waiver {
        policy,
        setting: setting.unwrap_or_default(),
        target: exempted,
        reason,
        approver,
        expire_time: expire.map(timestamp),
        ..Waiver::default()
    };
    let request = CreateWaiverRequest {
        parent: api.parent(),
        waiver: Some(waiver),
        request_id: request_id(),
        validate_only: dry_run,
    };
    let waiver = api.call(api.policies().create_waiver(once(request))).await?;
    Data::one(view::waiver(&waiver), view::WAIVER_DETAIL).print(output.format)
}
