//! `muster group`.

mod explain;
mod rules;
mod test_rule;
mod verdict;

use std::path::PathBuf;

use clap::Subcommand;
use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1::{
    CreateGroupRequest, DeleteGroupRequest, GetGroupRequest, Group, GroupKind, ListGroupMembersRequest,
    ListGroupsRequest, ModifyGroupMembersRequest,
};
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Page, Target, Write};
use crate::output::Data;
use crate::view;

/// Groups of devices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Define a group
    Create {
        /// Name for people, unique in the tenant
        #[arg(required_unless_present = "named")]
        name: Option<String>,
        /// The same, as an option
        #[arg(long = "name", value_name = "NAME", hide = true, conflicts_with = "name")]
        named: Option<String>,
        /// A rule finds its devices, for example 'device.deviceOSType -eq "Linux"'
        #[arg(long, conflicts_with = "fixed")]
        rule: Option<String>,
        /// Its devices are named by hand [default]
        #[arg(long = "static")]
        fixed: bool,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List groups by name
    List {
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Show one group
    #[command(visible_alias = "describe")]
    Get {
        /// The group's id or name
        group: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List the devices in a group
    Members {
        /// The group's id or name
        group: String,
        /// List the devices of which the rule cannot say whether they are in, and what is missing of each
        #[arg(long)]
        unknown: bool,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Add devices to a static group
    Add(Change),
    /// Remove devices from a static group
    Remove(Change),
    /// Change the rule of a dynamic group
    EditRule(rules::EditRule),
    /// Delete a group: its members leave it, and policies assigned to it reach them no longer
    Delete {
        /// The group's id or name
        group: String,
        /// Etag the group must still have
        #[arg(long, default_value = "")]
        etag: String,
        /// How to call
        #[command(flatten)]
        write: Write,
    },
    /// Say how many devices a rule would let in, and which for example
    Preview(rules::Preview),
    /// Say why a device is in a group or out of it, now or at a past moment
    Explain(explain::Explain),
    /// Say whether a rule lets a made-up device in, and why (offline)
    TestRule(test_rule::Options),
}

/// A change of a group's devices.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// The group's id or name
    group: String,
    /// Devices, by id or host name
    devices: Vec<String>,
    /// A file with further devices, a line each
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Etag the group must still have
    #[arg(long, default_value = "")]
    etag: String,
    /// Only check; change nothing
    #[arg(long)]
    dry_run: bool,
    /// How to find the server
    #[command(flatten)]
    target: Target,
    /// How to print
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Create { name, named, rule, fixed: _, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let kind = if rule.is_some() { GroupKind::Dynamic } else { GroupKind::Static };
            let group = Group {
                display_name: name.or(named).unwrap_or_default(),
                kind: kind.into(),
                rule: rule.unwrap_or_default(),
                ..Group::default()
            };
            let request = CreateGroupRequest {
                parent: api.parent(),
                group: Some(group),
                request_id: request_id(),
                validate_only: dry_run,
            };
            let group = api.call(api.groups().create_group(once(request))).await?;
            Data::one(view::identity::group(&group), view::identity::GROUP).print(output.format)
        }
        Command::List { page, target, output } => {
            let api = Api::connect(&target)?;
            let request = ListGroupsRequest {
                parent: api.parent(),
                page_size: page.page_size,
                page_token: page.page_token,
            };
            let reply = api.call(api.groups().list_groups(request)).await?;
            let items = reply.groups.iter().map(view::identity::group).collect();
            Data::list("groups", items, reply.next_page_token, view::identity::GROUP).print(output.format)
        }
        Command::Get { group, target, output } => {
            let api = Api::connect(&target)?;
            let name = api.group(&group).await?;
            let group = api.call(api.groups().get_group(GetGroupRequest { name })).await?;
            Data::one(view::identity::group(&group), view::identity::GROUP_DETAIL).print(output.format)
        }
        Command::Members { group, unknown, page, target, output } => {
            let api = Api::connect(&target)?;
            let request = ListGroupMembersRequest {
                name: api.group(&group).await?,
                page_size: page.page_size,
                page_token: page.page_token,
                unknown_only: unknown,
            };
            let reply = api.call(api.groups().list_group_members(request)).await?;
            if unknown {
                let items = reply.unknown_devices.iter().map(rules::unknown).collect();
                let columns = &[("device", "/id"), ("missing", "/missing")];
                return Data::list("devices", items, reply.next_page_token, columns).print(output.format);
            }
            let items =
                reply.devices.iter().map(|name| json!({"name": name, "id": view::id(name)})).collect();
            Data::list("devices", items, reply.next_page_token, &[("device", "/id")]).print(output.format)
        }
        Command::Add(change) => modify(change, true).await,
        Command::Remove(change) => modify(change, false).await,
        Command::EditRule(edit) => rules::edit(edit).await,
        Command::Delete { group, etag, write: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let request = DeleteGroupRequest {
                name: api.group(&group).await?,
                etag,
                request_id: request_id(),
                validate_only: dry_run,
            };
            let group = api.call(api.groups().delete_group(once(request))).await?;
            Data::one(view::identity::group(&group), view::identity::GROUP).print(output.format)
        }
        Command::Preview(preview) => rules::preview(preview).await,
        Command::Explain(explain) => explain::run(explain).await,
        Command::TestRule(options) => test_rule::run(&options),
    }
}

async fn modify(change: Change, add: bool) -> Result<(), Fault> {
    let Change { group, mut devices, file, etag, dry_run, target, output } = change;
    if let Some(file) = file {
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Fault::new(ErrorCode::ArgumentInvalid, format!("cannot read {}: {error}", file.display()))
        })?;
        devices.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if devices.is_empty() {
        return Err(Fault::invalid_field("devices", "name at least one device, or a --file of them"));
    }
    let api = Api::connect(&target)?;
    let mut names = Vec::with_capacity(devices.len());
    for device in &devices {
        names.push(api.device(device).await?);
    }
    let (add_devices, remove_devices) = if add { (names, vec![]) } else { (vec![], names) };
    let request = ModifyGroupMembersRequest {
        name: api.group(&group).await?,
        add_devices,
        remove_devices,
        etag,
        request_id: request_id(),
        validate_only: dry_run,
    };
    let group = api.call(api.groups().modify_group_members(once(request))).await?;
    Data::one(view::identity::group(&group), view::identity::GROUP).print(output.format)
}
