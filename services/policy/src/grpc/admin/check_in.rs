//! How devices check in, and those that shall do so at once.

use muster_errors::Fault;
use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_runtime::{caller, request};
use muster_types::{DeviceId, ResourceName, TenantId, Timestamp};
use tonic::{Request, Response, Status};

use super::stamped;
use crate::commands::{Refused, Synced};
use crate::domain::check_in_settings::{Values, etag};
use crate::error::status;
use crate::grpc::{Grpc, asked, because};
use crate::wire::{from_check_in_values, to_check_in_values};

/// Most devices that one call asks to check in.
const DEVICES_MAX: usize = 10_000;

impl Grpc {
    pub(super) async fn answer_get_check_in_settings(
        &self,
        request: Request<pb::GetCheckInSettingsRequest>,
    ) -> Result<Response<pb::CheckInSettings>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetCheckInSettingsRequest { name } = request.into_inner();
        self.of_tenant("name", &name)?;
        let row = self.queries.check_ins();
        Ok(Response::new(message(self.tenant, &row.values, row.changes, row.update_time)))
    }

    pub(super) async fn answer_update_check_in_settings(
        &self,
        request: Request<pb::UpdateCheckInSettingsRequest>,
    ) -> Result<Response<pb::CheckInSettings>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::UpdateCheckInSettingsRequest { check_in_settings, reason, .. } = request.into_inner();
        let asked = because(asked, &reason)?;
        let given =
            check_in_settings.ok_or_else(|| Fault::invalid_field("check_in_settings", "must be set"))?;
        self.of_tenant("check_in_settings.name", &given.name)?;
        let values = from_check_in_values(&given);
        let done =
            self.commands.change_check_in_settings(&asked, values, given.etag).await.map_err(status)?;
        let state = &done.state;
        let settings = message(self.tenant, state.values(), state.changes(), state.update_time());
        Ok(stamped(settings, done.position))
    }

    pub(super) async fn answer_sync_device(
        &self,
        request: Request<pb::SyncDeviceRequest>,
    ) -> Result<Response<pb::SyncDeviceResponse>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::SyncDeviceRequest { device, request_id: _, validate_only: _ } = request.into_inner();
        let id = request::device(self.tenant, "device", &device)?;
        let connected = self.watches.is_open(id);
        let done = self.commands.sync(&asked, id).await.map_err(status)?;
        Ok(stamped(pb::SyncDeviceResponse { connected }, done.position))
    }

    pub(super) async fn answer_sync_devices(
        &self,
        request: Request<pb::SyncDevicesRequest>,
    ) -> Result<Response<pb::SyncDevicesResponse>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::SyncDevicesRequest { parent, devices, request_id: _, validate_only: _ } =
            request.into_inner();
        request::parent(self.tenant, &parent)?;
        let named = self.named(&devices)?;
        let synced = self.commands.sync_many(&asked, &named).await.map_err(status)?;
        let Synced { devices, refused, position } = synced;
        let connected = devices.iter().filter(|device| self.watches.is_open(**device)).count();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let response = pb::SyncDevicesResponse {
            connected: count(connected),
            waiting: count(devices.len() - connected),
            refused: refused.into_iter().map(|refused| self.refusal(refused)).collect(),
        };
        Ok(stamped(response, position))
    }

    fn named(&self, devices: &[String]) -> Result<Vec<DeviceId>, Fault> {
        if devices.is_empty() || devices.len() > DEVICES_MAX {
            let problem = format!("must name 1 to {DEVICES_MAX} devices, names {}", devices.len());
            return Err(Fault::invalid_field("devices", problem));
        }
        let named = devices.iter().enumerate();
        named.map(|(i, name)| request::device(self.tenant, &format!("devices[{i}]"), name)).collect()
    }

    fn refusal(&self, refused: Refused) -> pb::SyncRefusal {
        let Refused { device, code } = refused;
        pb::SyncRefusal {
            device: ResourceName::Device(self.tenant, device).to_string(),
            code: Fault::from(refused).code.to_string(),
            enrollment_code: code.map_or_else(String::new, |code| code.as_str().to_owned()),
        }
    }

    /// Whether a name is that of the settings of the tenant served.
    fn of_tenant(&self, field: &'static str, name: &str) -> Result<(), Fault> {
        let ours = ResourceName::CheckInSettings(self.tenant);
        if name.parse::<ResourceName>().is_ok_and(|name| name == ours) {
            return Ok(());
        }
        Err(Fault::invalid_field(field, format!("must be {ours}, is {name:?}")))
    }
}

fn message(
    tenant: TenantId,
    values: &Values,
    changes: u64,
    update_time: Option<Timestamp>,
) -> pb::CheckInSettings {
    pb::CheckInSettings {
        name: ResourceName::CheckInSettings(tenant).to_string(),
        etag: etag(changes),
        update_time: update_time.map(timestamp),
        ..to_check_in_values(values)
    }
}
