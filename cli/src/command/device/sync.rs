//! `muster device sync`.

use clap::Args;
use muster_errors::Fault;
use muster_proto::enroll::v1::ListDevicesRequest;
use muster_proto::policy::v1::{SyncDeviceRequest, SyncDevicesRequest, SyncDevicesResponse};
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::Write;
use crate::output::{Data, Format, note};

/// Devices of one request, as the service takes them.
const DEVICES_MAX: usize = 10_000;
/// Devices listed at a time.
const PAGE_SIZE: i32 = 1_000;
/// Refused devices that are named in a table.
const REFUSED_SHOWN_MAX: usize = 20;

/// One device, or all that a filter names.
#[derive(Debug, Args)]
pub struct Sync {
    /// The device's id or host name
    #[arg(required_unless_present = "filter")]
    device: Option<String>,
    /// All devices that this says, for example 'platform = LINUX AND tags:"pilot"'
    #[arg(long, conflicts_with = "device")]
    filter: Option<String>,
    /// How
    #[command(flatten)]
    how: Write,
}

impl Sync {
    pub(super) async fn run(self) -> Result<(), Fault> {
        let Self { device, filter, how } = self;
        let api = Api::connect(&how.target)?;
        match (device, filter) {
            (Some(device), _) => one(&api, &device, how).await,
            (None, filter) => many(&api, filter.unwrap_or_default(), how).await,
        }
    }
}

async fn one(api: &Api, device: &str, how: Write) -> Result<(), Fault> {
    let device = api.device(device).await?;
    let request =
        SyncDeviceRequest { device: device.clone(), request_id: request_id(), validate_only: how.dry_run };
    let reply = api.call(api.policies().sync_device(once(request))).await?;
    let when = if reply.connected { "now" } else { "at its next check-in" };
    let item = json!({"name": device, "connected": reply.connected, "syncs": when});
    Data::one(item, &[("device", "/name"), ("syncs", "/syncs")]).print(how.output.format)
}

async fn many(api: &Api, filter: String, how: Write) -> Result<(), Fault> {
    let mut total = SyncDevicesResponse::default();
    let mut page_token = String::new();
    let mut devices = Vec::new();
    loop {
        let request = ListDevicesRequest {
            parent: api.parent(),
            page_size: PAGE_SIZE,
            page_token,
            filter: filter.clone(),
            order_by: String::new(),
        };
        let page = api.call(api.enrollment_admin().list_devices(request)).await?;
        devices.extend(page.devices.into_iter().map(|device| device.name));
        page_token = page.next_page_token;
        let last = page_token.is_empty();
        if !devices.is_empty() && (last || devices.len() >= DEVICES_MAX) {
            let reply = ask(api, std::mem::take(&mut devices), how.dry_run).await?;
            total.connected += reply.connected;
            total.waiting += reply.waiting;
            total.refused.extend(reply.refused);
        }
        if last {
            break;
        }
    }
    print(&total, how.output.format)
}

async fn ask(api: &Api, devices: Vec<String>, validate_only: bool) -> Result<SyncDevicesResponse, Fault> {
    let request =
        SyncDevicesRequest { parent: api.parent(), devices, request_id: request_id(), validate_only };
    api.call(api.policies().sync_devices(once(request))).await
}

fn print(total: &SyncDevicesResponse, format: Format) -> Result<(), Fault> {
    let SyncDevicesResponse { connected, waiting, refused } = total;
    let refused: Vec<_> = refused
        .iter()
        .map(|refusal| {
            let (device, code) = (&refusal.device, &refusal.code);
            json!({"device": device, "code": code, "enrollment_code": refusal.enrollment_code})
        })
        .collect();
    let item = json!({"connected": connected, "waiting": waiting, "refused": refused});
    Data::one(item, &[("sync now", "/connected"), ("at their next check-in", "/waiting")]).print(format)?;
    if format == Format::Table {
        for refusal in refused.iter().take(REFUSED_SHOWN_MAX) {
            let word = |name: &str| refusal[name].as_str().unwrap_or_default().to_owned();
            let (code, why) = (word("code"), word("enrollment_code"));
            note(&format!(
                "{} not synced: {code}{}{why}",
                word("device"),
                if why.is_empty() { "" } else { ", " }
            ));
        }
        if refused.len() > REFUSED_SHOWN_MAX {
            note(&format!("… and {} more", refused.len() - REFUSED_SHOWN_MAX));
        }
    }
    Ok(())
}
