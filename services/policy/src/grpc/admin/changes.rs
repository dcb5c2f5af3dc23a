//! What changes would do.

use muster_proto::policy::v1 as pb;
use tonic::{Request, Response, Status};

use super::Grpc;

impl Grpc {
    pub(super) async fn answer_plan_changes(
        &self,
        _request: Request<pb::PlanChangesRequest>,
    ) -> Result<Response<pb::Plan>, Status> {
        Err(Status::unimplemented("plan_changes"))
    }

    pub(super) async fn answer_list_collisions(
        &self,
        _request: Request<pb::ListCollisionsRequest>,
    ) -> Result<Response<pb::ListCollisionsResponse>, Status> {
        Err(Status::unimplemented("list_collisions"))
    }
}
