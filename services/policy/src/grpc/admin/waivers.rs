//! Waivers.

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_runtime::{caller, request};
use tonic::{Request, Response, Status};

use super::{Grpc, asked, because, convert, stamped};
use crate::domain::waiver;
use crate::error::status;

impl Grpc {
    pub(super) async fn answer_create_waiver(
        &self,
        request: Request<pb::CreateWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::CreateWaiverRequest { parent, waiver, request_id: _, validate_only: _ } =
            request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let (grant, reason) = convert::granted(tenant, waiver)?;
        let asked = because(asked, &reason).map_err(|fault| fault.within("waiver"))?;
        let (id, done) = self.commands.grant_waiver(&asked, grant).await.map_err(status)?;
        let known = done.state.known().ok_or(waiver::Error::Unknown).map_err(status)?;
        Ok(stamped(convert::waiver(tenant, id, known), done.position))
    }

    pub(super) async fn answer_get_waiver(
        &self,
        request: Request<pb::GetWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetWaiverRequest { name } = request.into_inner();
        let id = convert::waiver_id(self.tenant, &name)?;
        let known = self.queries.waiver(id).ok_or_else(|| status(unknown(&name)))?;
        Ok(Response::new(convert::waiver(self.tenant, id, &known)))
    }

    pub(super) async fn answer_list_waivers(
        &self,
        request: Request<pb::ListWaiversRequest>,
    ) -> Result<Response<pb::ListWaiversResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListWaiversRequest { parent, active_only, page_size, page_token } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let page = convert::waiver_page(page_size, &page_token)?;
        let (rows, next) = self.queries.waivers(page, active_only);
        Ok(Response::new(pb::ListWaiversResponse {
            waivers: rows.iter().map(|(id, known)| convert::waiver(tenant, *id, known)).collect(),
            next_page_token: convert::waiver_page_token(next),
        }))
    }

    pub(super) async fn answer_revoke_waiver(
        &self,
        request: Request<pb::RevokeWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::RevokeWaiverRequest { name, request_id: _, validate_only: _, reason } = request.into_inner();
        let asked = because(asked, &reason)?;
        let id = convert::waiver_id(self.tenant, &name)?;
        let done = self.commands.revoke_waiver(&asked, id).await.map_err(status)?;
        let known = done.state.known().ok_or(waiver::Error::Unknown).map_err(status)?;
        Ok(stamped(convert::waiver(self.tenant, id, known), done.position))
    }
}

fn unknown(name: &str) -> Fault {
    Fault::new(ErrorCode::WaiverUnknown, format!("no such waiver: {name}"))
}
