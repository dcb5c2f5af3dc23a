//! What the directory says of its devices, and promotion by it, for admins.

use std::collections::BTreeMap;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_proto::identity::v1 as pb;
use muster_runtime::request::page_token;
use muster_runtime::{caller, request};
use muster_types::{DeviceId, DirectoryDeviceId, ResourceName, TenantId};
use tonic::{Request, Response, Status};

use super::Grpc;
use crate::commands::Order;
use crate::commands::directory::{Promote, TakenOver};
use crate::domain::directory_device::{Error, Known, Record};
use crate::error::status;
use crate::queries::Rows;
use crate::queries::directory::Told;
use crate::wire::directory_device::{record, record_message};

/// Most records of one request.
const RECORDS_MAX: usize = 1_000;
/// Most bad records that an answer names.
const BAD_RECORDS_NAMED_MAX: usize = 100;
/// Most devices that one request merges.
const MERGED_MAX: usize = 16;

pub(super) async fn upsert(
    grpc: &Grpc,
    request: Request<pb::UpsertDirectoryDevicesRequest>,
) -> Result<Response<pb::UpsertDirectoryDevicesResponse>, Status> {
    let actor = Actor::admin(&caller::admin(&request)?);
    let pb::UpsertDirectoryDevicesRequest { parent, directory_devices, request_id, validate_only } =
        request.into_inner();
    let tenant = request::parent(grpc.tenant, &parent)?;
    let records = records(tenant, directory_devices)?;
    let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
    let taken = grpc.commands.take_over(tenant, &records, &order, &grpc.queries).await.map_err(status)?;
    let TakenOver { changed, unchanged, promoted, ambiguous, position } = taken;
    let response = pb::UpsertDirectoryDevicesResponse { changed, unchanged, promoted, ambiguous };
    grpc.stamped(Response::new(response), position).await
}

pub(super) async fn list(
    grpc: &Grpc,
    request: Request<pb::ListDirectoryDevicesRequest>,
) -> Result<Response<pb::ListDirectoryDevicesResponse>, Status> {
    caller::admin(&request)?;
    grpc.settled(&request).await?;
    let pb::ListDirectoryDevicesRequest { parent, page_size, page_token: token, ambiguous_only } =
        request.into_inner();
    let tenant = request::parent(grpc.tenant, &parent)?;
    let page = request::page(page_size, &token, |bytes| DirectoryDeviceId::from_slice(bytes).ok())?;
    let Rows { rows, next } = grpc.queries.directory_devices(tenant, ambiguous_only, page);
    Ok(Response::new(pb::ListDirectoryDevicesResponse {
        directory_devices: rows.iter().map(|told| message(tenant, told)).collect(),
        next_page_token: page_token(next.map(|id| *id.as_bytes())),
    }))
}

pub(super) async fn delete(
    grpc: &Grpc,
    request: Request<pb::DeleteDirectoryDeviceRequest>,
) -> Result<Response<pb::DirectoryDevice>, Status> {
    let actor = Actor::admin(&caller::admin(&request)?);
    let pb::DeleteDirectoryDeviceRequest { name, request_id, validate_only } = request.into_inner();
    let id = request::directory_device(grpc.tenant, "name", &name)?;
    let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
    let done = grpc.commands.remove_directory_device((grpc.tenant, id), &order).await.map_err(status)?;
    let known = done.state.known().ok_or(Error::Unknown).map_err(status)?;
    let name = ResourceName::DirectoryDevice(grpc.tenant, id).to_string();
    let response = pb::DirectoryDevice { name, ..record_message(&known.record) };
    grpc.stamped(Response::new(response), done.position).await
}

pub(super) async fn promote(
    grpc: &Grpc,
    request: Request<pb::PromoteRegistrationRequest>,
) -> Result<Response<pb::Registration>, Status> {
    let actor = Actor::admin(&caller::admin(&request)?);
    let pb::PromoteRegistrationRequest { name, directory_device, merge_devices, request_id, validate_only } =
        request.into_inner();
    let device = request::registration(grpc.tenant, "name", &name)?;
    let promote = Promote {
        tenant: grpc.tenant,
        device,
        directory_device: request::directory_device(grpc.tenant, "directory_device", &directory_device)?,
        merge: merged(grpc.tenant, device, &merge_devices)?,
    };
    let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
    let done = grpc.commands.promote(&promote, &order, &grpc.queries).await.map_err(status)?;
    grpc.changed(device, done).await
}

fn merged(tenant: TenantId, into: DeviceId, names: &[String]) -> Result<Vec<DeviceId>, Fault> {
    if names.len() > MERGED_MAX {
        let problem = format!("names {} devices, the limit is {MERGED_MAX}", names.len());
        return Err(Fault::invalid_field("merge_devices", problem));
    }
    let mut devices = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let field = format!("merge_devices[{index}]");
        let device = request::device(tenant, &field, name)?;
        if device == into {
            return Err(Fault::invalid_field(field, "a device cannot be merged into itself"));
        }
        devices.push(device);
    }
    devices.sort_unstable();
    devices.dedup();
    Ok(devices)
}

/// Checks all records before any is taken over, and names each that is wrong.
fn records(tenant: TenantId, messages: Vec<pb::DirectoryDevice>) -> Result<Vec<Record>, Fault> {
    if messages.len() > RECORDS_MAX {
        let problem = format!("names {} devices, the limit is {RECORDS_MAX}", messages.len());
        return Err(Fault::invalid_field("directory_devices", problem));
    }
    let mut seen = BTreeMap::new();
    let mut sound = Vec::with_capacity(messages.len());
    let mut bad = Vec::new();
    for (index, message) in messages.into_iter().enumerate() {
        let checked = record(message).and_then(|record| {
            record.check().map_err(|error| error.to_string())?;
            match seen.insert(DirectoryDeviceId::of(tenant, &record.directory_id), index) {
                Some(first) => Err(format!("directory_id: the same as that of directory_devices[{first}]")),
                None => Ok(record),
            }
        });
        match checked {
            Ok(record) => sound.push(record),
            Err(problem) => bad.push((index, problem)),
        }
    }
    if bad.is_empty() { Ok(sound) } else { Err(refused(bad)) }
}

fn refused(bad: Vec<(usize, String)>) -> Fault {
    let message = format!("{} records are wrong; nothing was taken over", bad.len());
    let fault = Fault::new(ErrorCode::ArgumentInvalid, message).with("bad_records", bad.len());
    let named = bad.into_iter().take(BAD_RECORDS_NAMED_MAX);
    named.fold(fault, |fault, (index, problem)| {
        fault.with_field(format!("directory_devices[{index}]"), problem)
    })
}

fn message(tenant: TenantId, told: &Told) -> pb::DirectoryDevice {
    let Told { id, row, holder } = told;
    let Known { record, ambiguous, removed: _ } = &row.known;
    let device = |device: &DeviceId| ResourceName::Device(tenant, *device).to_string();
    pb::DirectoryDevice {
        name: ResourceName::DirectoryDevice(tenant, *id).to_string(),
        device: holder.as_ref().map(device).unwrap_or_default(),
        candidates: ambiguous.iter().map(device).collect(),
        ..record_message(record)
    }
}
