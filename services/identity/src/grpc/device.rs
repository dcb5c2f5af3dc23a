//! What a device calls to keep its trust.

use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::device_trust_service_server::DeviceTrustService;
use muster_runtime::caller;
use tonic::{Request, Response, Status};

use super::Grpc;

#[tonic::async_trait]
impl DeviceTrustService for Grpc {
    async fn renew_certificate(
        &self,
        request: Request<pb::RenewCertificateRequest>,
    ) -> Result<Response<pb::RenewCertificateResponse>, Status> {
        caller::device(&request)?;
        Err(Status::unimplemented("not yet"))
    }

    async fn activate_certificate(
        &self,
        request: Request<pb::ActivateCertificateRequest>,
    ) -> Result<Response<pb::ActivateCertificateResponse>, Status> {
        caller::device(&request)?;
        Err(Status::unimplemented("not yet"))
    }
}
