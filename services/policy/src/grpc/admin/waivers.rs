//! Waivers.

use muster_proto::policy::v1 as pb;
use tonic::{Request, Response, Status};

use super::Grpc;

impl Grpc {
    pub(super) async fn answer_create_waiver(
        &self,
        _request: Request<pb::CreateWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        Err(Status::unimplemented("create_waiver"))
    }

    pub(super) async fn answer_get_waiver(
        &self,
        _request: Request<pb::GetWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        Err(Status::unimplemented("get_waiver"))
    }

    pub(super) async fn answer_list_waivers(
        &self,
        _request: Request<pb::ListWaiversRequest>,
    ) -> Result<Response<pb::ListWaiversResponse>, Status> {
        Err(Status::unimplemented("list_waivers"))
    }

    pub(super) async fn answer_revoke_waiver(
        &self,
        _request: Request<pb::RevokeWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        Err(Status::unimplemented("revoke_waiver"))
    }
}
