//! `muster device`.

mod sync;
mod timeline;

use std::time::Duration;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::convert;
use muster_proto::enroll::v1::{
    AllowReenrollmentRequest, DeleteDeviceRequest, Device, GetDeviceRequest, ListAuthorityIntervalsRequest,
    ListDevicesRequest, OffboardDeviceRequest, TagDeviceRequest,
};
use muster_proto::policy::v1::GetEffectivePolicyRequest;
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Page, Read, Write};
use crate::output::{Data, Format, note, print_json};
use crate::view::{self, enroll};
use sync::Sync;

/// Devices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List devices
    List {
        /// Which ones, for example 'enrollment_status = REFUSED AND tags:"pilot"' [default: all that are not deleted]
        #[arg(long, default_value = "")]
        filter: String,
        /// Order: onboard_time, hostname or last_seen_time, with " desc" for the other direction
        #[arg(long, default_value = "")]
        order_by: String,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Show one device
    #[command(visible_alias = "describe")]
    Get {
        /// The device's id, or its host name if no other device has it
        device: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Show who managed a device and when
    Authority {
        /// The device's id or host name
        device: String,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Set tags of a device; its enrollment is decided again
    Tag {
        /// The device's id or host name
        device: String,
        /// The tags
        #[arg(required = true)]
        tags: Vec<String>,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Take tags off a device; its enrollment is decided again
    Untag {
        /// The device's id or host name
        device: String,
        /// The tags
        #[arg(required = true)]
        tags: Vec<String>,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Order a device to take back what was enforced and to leave; it confirms
    Offboard {
        /// The device's id or host name
        device: String,
        /// How long the order is good: 15m, 24h, 7d
        #[arg(long, default_value = "7d", value_parser = crate::parse::duration)]
        ttl: Duration,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Delete a device everywhere; it stays deleted until allow-reenroll
    Delete {
        /// The device's id or host name
        device: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Let a deleted or offboarded device onboard again
    AllowReenroll {
        /// The device's id
        device: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Show what is resolved for a device, and where each value comes from
    Effective {
        /// The device's id or host name
        device: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Show a device's history across the services: what concerned it, each after what caused it
    Timeline {
        /// The device's id or host name
        device: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Tell devices to check in now
    Sync(Sync),
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::List { filter, order_by, page, how } => list(filter, order_by, page, how).await,
        Command::Get { device, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.device(&device).await?;
            print(&api.call(api.enrollment_admin().get_device(GetDeviceRequest { name })).await?, output)
        }
        Command::Authority { device, page, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.device(&device).await?;
            let Page { page_size, page_token } = page;
            let request = ListAuthorityIntervalsRequest { name, page_size, page_token };
            let reply = api.call(api.enrollment_admin().list_authority_intervals(request)).await?;
            let items = reply.intervals.iter().map(enroll::authority).collect();
            Data::list("intervals", items, reply.next_page_token, enroll::AUTHORITY).print(output.format)
        }
        Command::Tag { device, tags, how } => tag(device, (tags, vec![]), how).await,
        Command::Untag { device, tags, how } => tag(device, (vec![], tags), how).await,
        Command::Offboard { device, ttl, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let request = OffboardDeviceRequest {
                name: api.device(&device).await?,
                ttl: Some(convert::duration(ttl)),
                request_id: request_id(),
                validate_only: dry_run,
            };
            print(&api.call(api.enrollment_admin().offboard_device(once(request))).await?, output)?;
            note("The device carries the order out and confirms; `muster device get` shows when.");
            Ok(())
        }
        Command::Delete { device, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.device(&device).await?;
            let request = DeleteDeviceRequest { name, request_id: request_id(), validate_only: dry_run };
            print(&api.call(api.enrollment_admin().delete_device(once(request))).await?, output)
        }
        Command::AllowReenroll { device, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.device(&device).await?;
            let request = AllowReenrollmentRequest { name, request_id: request_id(), validate_only: dry_run };
            print(&api.call(api.enrollment_admin().allow_reenrollment(once(request))).await?, output)
        }
        Command::Effective { device, how } => effective(device, how).await,
        Command::Timeline { device, how } => timeline::run(device, how).await,
        Command::Sync(sync) => sync.run().await,
    }
}

fn print(device: &Device, output: Output) -> Result<(), Fault> {
    Data::one(enroll::device(device), enroll::DEVICE_DETAIL).print(output.format)
}

async fn list(filter: String, order_by: String, page: Page, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let Page { page_size, page_token } = page;
    let request = ListDevicesRequest { parent: api.parent(), page_size, page_token, filter, order_by };
    let reply = api.call(api.enrollment_admin().list_devices(request)).await?;
    let items = reply.devices.iter().map(enroll::device).collect();
    Data::list("devices", items, reply.next_page_token, enroll::DEVICE).print(output.format)?;
    if let (Some(total), Format::Table) = (reply.total_size, output.format) {
        note(&format!("{} of {total} devices", reply.devices.len()));
    }
    Ok(())
}

async fn tag(device: String, change: (Vec<String>, Vec<String>), how: Write) -> Result<(), Fault> {
    let Write { dry_run, target, output } = how;
    let api = Api::connect(&target)?;
    let (add_tags, remove_tags) = change;
    let request = TagDeviceRequest {
        name: api.device(&device).await?,
        add_tags,
        remove_tags,
        request_id: request_id(),
        validate_only: dry_run,
    };
    print(&api.call(api.enrollment_admin().tag_device(once(request))).await?, output)
}

async fn effective(device: String, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let request = GetEffectivePolicyRequest { device: api.device(&device).await? };
    let effective = api.call(api.policies().get_effective_policy(request)).await?;
    let settings = view::effective(&effective);
    if output.format == Format::Json {
        let etag = view::hex(&effective.etag);
        return print_json(&json!({"device": effective.device, "etag": etag, "settings": settings}));
    }
    Data::list("settings", settings, String::new(), view::EFFECTIVE).print(output.format)
}
