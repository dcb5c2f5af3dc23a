//! Many changes at once.

use muster_proto::policy::v1 as pb;
use muster_runtime::request;
use tonic::{Request, Response, Status};

use super::{Grpc, asked, because, stamped};
use crate::commands::{Applied, Proposed};
use crate::error::status;
use crate::grpc::convert;

impl Grpc {
    pub(super) async fn answer_apply_changes(
        &self,
        request: Request<pb::ApplyChangesRequest>,
    ) -> Result<Response<pb::ApplyChangesResponse>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::ApplyChangesRequest {
            parent,
            changes,
            request_id: _,
            validate_only: _,
            reason,
            plan_digest,
            memberships,
        } = request.into_inner();
        let asked = because(asked, &reason)?;
        let tenant = request::parent(self.tenant, &parent)?;
        let changes = convert::changes(tenant, changes)?;
        let memberships = convert::memberships(tenant, &memberships)?;
        // What is only checked may name groups that come before it is made.
        let groups = memberships.keys().filter(|_| asked.validate_only).copied().collect();
        let approve = |proposed: &Proposed| self.approve(proposed, &plan_digest, &memberships);
        let applied =
            self.commands.apply_changes(&asked, &changes, &groups, approve).await.map_err(status)?;
        let Applied { names, events, position, policies } = applied;
        let response = pb::ApplyChangesResponse {
            names: names.iter().map(ToString::to_string).collect(),
            events: u32::try_from(events).unwrap_or(u32::MAX),
            collisions: self.collisions_of(policies).await.map_err(status)?,
        };
        Ok(stamped(response, position))
    }
}
