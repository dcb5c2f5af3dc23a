//! What anyone may read to trust this installation.

use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::trust_bundle_service_server::TrustBundleService;
use tonic::{Request, Response, Status};

use super::Grpc;

#[tonic::async_trait]
impl TrustBundleService for Grpc {
    async fn get_trust_bundle(
        &self,
        _: Request<pb::GetTrustBundleRequest>,
    ) -> Result<Response<pb::TrustBundle>, Status> {
        Err(Status::unimplemented("not yet"))
    }
}
