//! Memberships, for services.

use muster_errors::Fault;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::membership_service_server::MembershipService;
use muster_runtime::{caller, request};
use muster_types::Service;
use roaring::RoaringBitmap;
use tonic::{Request, Response, Status};

use super::Grpc;
use crate::wire::bitmap_bytes;

/// Most groups of one question.
const GROUPS_MAX: usize = 1_000;

#[tonic::async_trait]
impl MembershipService for Grpc {
    async fn list_unknown(
        &self,
        request: Request<pb::ListUnknownRequest>,
    ) -> Result<Response<pb::ListUnknownResponse>, Status> {
        caller::service(&request, &[Service::Policy])?;
        self.followed(&request).await?;
        let pb::ListUnknownRequest { groups } = request.into_inner();
        if groups.len() > GROUPS_MAX {
            let problem = format!("{} groups, the limit is {GROUPS_MAX}", groups.len());
            return Err(Fault::invalid_field("groups", problem).into());
        }
        // Read before the groups: what they know is at least as new.
        let position = self.ages.settled();
        let mut unknown = RoaringBitmap::new();
        for (number, name) in groups.iter().enumerate() {
            let row = self.known(request::group(self.tenant, &format!("groups[{number}]"), name)?)?;
            unknown |= self.ages.of(row.id).map(|age| age.unknown).unwrap_or_default();
        }
        Ok(Response::new(pb::ListUnknownResponse {
            devices: bitmap_bytes(&unknown),
            position: position.to_string(),
        }))
    }
}
