//! Challenges of attestation.

use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::attestation_service_server::AttestationService;
use tonic::{Request, Response, Status};

use super::Grpc;

#[tonic::async_trait]
impl AttestationService for Grpc {
    async fn begin_attestation(
        &self,
        _: Request<pb::BeginAttestationRequest>,
    ) -> Result<Response<pb::BeginAttestationResponse>, Status> {
        Err(Fault::new(ErrorCode::AttestationUnavailable, "this server takes no attestations").into())
    }
}
