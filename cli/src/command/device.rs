//! `muster device`.

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::enroll::v1::{GetDeviceRequest, ListDevicesRequest};
use muster_proto::policy::v1::{GetEffectivePolicyRequest, SyncDeviceRequest};
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Page, Target};
use crate::output::{Data, Format, print_json};
use crate::view;

/// Devices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List devices in the order they came in
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
    /// Show one device
    #[command(visible_alias = "describe")]
    Get {
        /// The device's id, or its host name if no other device has it
        device: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Show what is resolved for a device, and where each value comes from
    Effective {
        /// The device's id or host name
        device: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Tell a device to check in now
    Sync {
        /// The device's id or host name
        device: String,
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
}

/// Columns of a device shown alone.
const DETAIL: &[(&str, &str)] = &[
    ("device", "/id"),
    ("hostname", "/hostname"),
    ("platform", "/platform"),
    ("os", "/os"),
    ("kernel", "/kernel_release"),
    ("architecture", "/architecture"),
    ("agent", "/agent_version"),
    ("board vendor", "/board_vendor"),
    ("product", "/product_name"),
    ("security products", "/security_products"),
    ("managed by", "/managed_by"),
    ("enrollment", "/enrollment_status"),
    ("reason", "/enrollment_reason"),
    ("spiffe id", "/spiffe_id"),
    ("onboarded", "/onboard_time"),
    ("facts changed", "/facts_change_time"),
];

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::List { page, target, output } => {
            let api = Api::connect(&target)?;
            let request = ListDevicesRequest {
                parent: api.parent(),
                page_size: page.page_size,
                page_token: page.page_token,
            };
            let reply = api.call(api.enrollment_admin().list_devices(request)).await?;
            let items = reply.devices.iter().map(view::device).collect();
            Data::list("devices", items, reply.next_page_token, view::DEVICE).print(output.format)
        }
        Command::Get { device, target, output } => {
            let api = Api::connect(&target)?;
            let name = api.device(&device).await?;
            let device = api.call(api.enrollment_admin().get_device(GetDeviceRequest { name })).await?;
            Data::one(view::device(&device), DETAIL).print(output.format)
        }
        Command::Effective { device, target, output } => {
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
        Command::Sync { device, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let device = api.device(&device).await?;
            let request = SyncDeviceRequest {
                device: device.clone(),
                request_id: request_id(),
                validate_only: dry_run,
            };
            let reply = api.call(api.policies().sync_device(once(request))).await?;
            let when = if reply.connected { "now" } else { "at its next check-in" };
            let item = json!({"name": device, "connected": reply.connected, "syncs": when});
            Data::one(item, &[("device", "/name"), ("syncs", "/syncs")]).print(output.format)
        }
    }
}
