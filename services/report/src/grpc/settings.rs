//! When devices count as stale or drifting.

use muster_errors::Fault;
use muster_eventlog::Actor;
use muster_proto::convert::timestamp;
use muster_proto::report::v1 as pb;
use muster_runtime::{caller, position, request};
use muster_types::{ResourceName, Service, TenantId};
use tonic::{Request, Response, Status};

use super::Grpc;
use crate::commands::Asked;
use crate::domain::report_settings::{ReportSettings, etag};
use crate::error::status;
use crate::wire::{from_report_values, to_report_values};

/// Longest reason of a change, in characters.
const REASON_CHARS_MAX: usize = 1_024;

impl Grpc {
    pub(super) async fn answer_get_report_settings(
        &self,
        request: Request<pb::GetReportSettingsRequest>,
    ) -> Result<Response<pb::ReportSettings>, Status> {
        caller::admin(&request)?;
        let wanted = position::wanted(&request)?;
        position::settle(self.sightings.wait_for(&wanted)).await?;
        let pb::GetReportSettingsRequest { name } = request.into_inner();
        self.of_tenant("name", &name)?;
        Ok(Response::new(message(self.tenant, self.sightings.read().settings())))
    }

    pub(super) async fn answer_update_report_settings(
        &self,
        request: Request<pb::UpdateReportSettingsRequest>,
    ) -> Result<Response<pb::ReportSettings>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::UpdateReportSettingsRequest { report_settings, request_id, validate_only, reason } =
            request.into_inner();
        let found = reason.chars().count();
        if found > REASON_CHARS_MAX {
            let problem = format!("must have at most {REASON_CHARS_MAX} characters, has {found}");
            return Err(Fault::invalid_field("reason", problem).into());
        }
        let asked = Asked { actor, request: request::id(&request_id)?, validate_only, reason };
        let given = report_settings.ok_or_else(|| Fault::invalid_field("report_settings", "must be set"))?;
        self.of_tenant("report_settings.name", &given.name)?;
        let values = from_report_values(&given);
        let done = self.commands.change_report_settings(&asked, values, given.etag).await.map_err(status)?;
        let mut response = Response::new(message(self.tenant, &done.state));
        position::stamp(&mut response, Service::Report, done.position);
        Ok(response)
    }

    /// Whether a name is that of the settings of the tenant served.
    fn of_tenant(&self, field: &'static str, name: &str) -> Result<(), Fault> {
        let ours = ResourceName::ReportSettings(self.tenant);
        if name.parse::<ResourceName>().is_ok_and(|name| name == ours) {
            return Ok(());
        }
        Err(Fault::invalid_field(field, format!("must be {ours}, is {name:?}")))
    }
}

fn message(tenant: TenantId, settings: &ReportSettings) -> pb::ReportSettings {
    pb::ReportSettings {
        name: ResourceName::ReportSettings(tenant).to_string(),
        etag: etag(settings.changes()),
        update_time: settings.update_time().map(timestamp),
        ..to_report_values(settings.values())
    }
}
