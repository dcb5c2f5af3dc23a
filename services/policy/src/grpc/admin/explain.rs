//! Why a device is set to what it is set to.

use std::collections::BTreeSet;

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_runtime::{caller, request};
use muster_types::SettingId;
use tonic::{Request, Response, Status};

use super::{Grpc, device_unknown};
use crate::domain::explanation::Explanation;
use crate::error::status;
use crate::grpc::convert;
use crate::queries::explain::DeviceExplained;

impl Grpc {
    pub(super) async fn answer_explain_device(
        &self,
        request: Request<pb::ExplainDeviceRequest>,
    ) -> Result<Response<pb::Explanation>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ExplainDeviceRequest { device, setting, as_of } = request.into_inner();
        let id = request::device(self.tenant, "device", &device)?;
        let setting = (!setting.is_empty()).then(|| known_setting(&setting)).transpose()?;
        let cut = match as_of {
            Some(as_of) => self.moments.resolve(&as_of).await.map_err(status)?,
            None => None,
        };
        let explained = match cut {
            Some(cut) => {
                self.queries.explain_at(self.tenant, id, setting.as_ref(), &cut).await.map_err(status)?
            }
            None => self.queries.explain(id, setting.as_ref()).await,
        };
        let explained = explained.ok_or_else(|| status(device_unknown(&device)))?;
        let written = self.written(&explained).await.map_err(status)?;
        let now = self.clock.now();
        Ok(Response::new(convert::explanation(self.tenant, id, explained, &written, now)))
    }

    /// What the log says of what an explanation names.
    async fn written(&self, explained: &DeviceExplained) -> Result<convert::Written, Fault> {
        let DeviceExplained { explanation: Explanation { settings, .. }, positions, .. } = explained;
        let carriers = || settings.iter().flat_map(|setting| setting.winners.iter().chain(&setting.losers));
        let revisions: BTreeSet<_> = carriers().map(|carrier| (carrier.policy, carrier.revision)).collect();
        let ties = |carrier: &crate::domain::explanation::Carrier| {
            let policy = carrier.policy;
            carrier.groups.iter().map(move |(group, _)| (policy, *group)).collect::<Vec<_>>()
        };
        let assignments: BTreeSet<_> = carriers().flat_map(ties).collect();
        Ok(convert::Written {
            revisions: self.queries.revisions(self.tenant, revisions).await?,
            assigned_by: self.queries.assigned_by(self.tenant, assignments, positions).await?,
        })
    }
}

fn known_setting(text: &str) -> Result<SettingId, Fault> {
    let id = text.parse::<SettingId>();
    let id = id.map_err(|error| Fault::invalid_field("setting", error.to_string()))?;
    let known = muster_catalog::Catalogue::builtin().setting(&id).is_some();
    let unknown = || {
        let message = format!("the catalogue has no setting {id}");
        Fault::new(ErrorCode::SettingUnknown, message)
            .with("setting", &id)
            .with_field("setting", "is unknown")
    };
    if known { Ok(id) } else { Err(unknown()) }
}
