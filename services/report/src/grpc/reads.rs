//! Reads: check what is asked, one query, convert the answer.

use muster_errors::{ErrorCode, Fault};
use muster_proto::report::v1 as pb;
use muster_runtime::{caller, request};
use muster_types::{PolicyId, SettingId};
use tonic::{Request, Response, Status};

use super::{Grpc, convert, page};
use crate::domain::standing::DeviceFilter;
use crate::queries::At;

pub(super) fn no_such_policy(name: &str) -> Fault {
    Fault::new(ErrorCode::PolicyUnknown, format!("no such policy: {name}"))
}

impl Grpc {
    pub(super) async fn device_report(
        &self,
        request: Request<pb::GetDeviceReportRequest>,
    ) -> Result<Response<pb::DeviceReport>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetDeviceReportRequest { device: name, setting, as_of } = request.into_inner();
        let id = request::device(self.tenant, "device", &name)?;
        let setting = match setting.as_str() {
            "" => None,
            setting => Some(convert::setting("setting", setting)?),
        };
        let cut = match &as_of {
            None => None,
            Some(as_of) => self.past.cut(as_of).await?,
        };
        let unknown = || Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}"));
        let found = match cut {
            None => self.queries.device(self.tenant, id, setting.as_ref()),
            Some(cut) => self.past.device(&self.queries, (self.tenant, id), setting.as_ref(), cut).await?,
        };
        Ok(Response::new(convert::device_report(self.tenant, name.clone(), found.ok_or_else(unknown)?)))
    }

    pub(super) async fn policy_report(
        &self,
        request: Request<pb::GetPolicyReportRequest>,
    ) -> Result<Response<pb::PolicyReport>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetPolicyReportRequest { policy: name } = request.into_inner();
        let id = request::policy(self.tenant, "policy", &name)?;
        let found = self.queries.policy(self.tenant, id).ok_or_else(|| no_such_policy(&name))?;
        Ok(Response::new(convert::policy_report(name, found)))
    }

    pub(super) async fn policy_devices(
        &self,
        request: Request<pb::ListPolicyDevicesRequest>,
    ) -> Result<Response<pb::ListPolicyDevicesResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListPolicyDevicesRequest { policy: name, page_size, page_token, filter } =
            request.into_inner();
        let id = request::policy(self.tenant, "policy", &name)?;
        let filter = filter.unwrap_or_default();
        let of = page::fingerprint(id, &filter);
        let page = page::page(page_size, &page_token, &of)?;
        let filter = self.filter((&name, id), filter)?;
        let found = self.queries.policy_devices(self.tenant, id, &filter, page.mark, page.rows);
        let At { answer, positions, time: _ } = found.ok_or_else(|| no_such_policy(&name))?;
        Ok(Response::new(pb::ListPolicyDevicesResponse {
            next_page_token: page::token(answer.next_after, &of),
            total_size: convert::ordinals(answer.total),
            position: positions.to_string(),
            devices: answer.devices.into_iter().map(|it| convert::policy_device(self.tenant, it)).collect(),
        }))
    }

    /// Checks a filter, also that the policy has the setting that it names.
    pub(super) fn filter(
        &self,
        (name, policy): (&str, PolicyId),
        filter: pb::PolicyDeviceFilter,
    ) -> Result<DeviceFilter, Fault> {
        let filter = convert::filter(filter)?;
        if let Some(setting) = &filter.setting {
            let settings = self.queries.policy_settings(self.tenant, policy);
            let settings = settings.ok_or_else(|| no_such_policy(name))?.answer.settings;
            if !settings.iter().any(|counts| counts.id == *setting) {
                return Err(convert::filter_invalid("setting", &no_such_setting(setting)));
            }
        }
        Ok(filter)
    }

    pub(super) async fn policy_settings(
        &self,
        request: Request<pb::GetPolicySettingsRequest>,
    ) -> Result<Response<pb::PolicySettings>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetPolicySettingsRequest { policy: name } = request.into_inner();
        let id = request::policy(self.tenant, "policy", &name)?;
        let found = self.queries.policy_settings(self.tenant, id).ok_or_else(|| no_such_policy(&name))?;
        Ok(Response::new(convert::policy_settings(name, found)))
    }

    pub(super) async fn policy_convergence(
        &self,
        request: Request<pb::GetPolicyConvergenceRequest>,
    ) -> Result<Response<pb::PolicyConvergence>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetPolicyConvergenceRequest { policy: name } = request.into_inner();
        let id = request::policy(self.tenant, "policy", &name)?;
        let found = self.queries.convergence(self.tenant, id).ok_or_else(|| no_such_policy(&name))?;
        Ok(Response::new(convert::convergence(self.tenant, name, found)))
    }

    pub(super) async fn fleet_report(
        &self,
        request: Request<pb::GetFleetReportRequest>,
    ) -> Result<Response<pb::FleetReport>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetFleetReportRequest { parent } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        Ok(Response::new(convert::fleet(tenant, self.queries.fleet(tenant))))
    }
}

fn no_such_setting(setting: &SettingId) -> String {
    format!("the policy does not have the setting {setting}")
}
