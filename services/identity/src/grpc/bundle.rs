//! What anyone may read to trust this installation.

use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::trust_bundle_service_server::TrustBundleService;
use tonic::{Request, Response, Status};

use super::Grpc;

#[tonic::async_trait]
impl TrustBundleService for Grpc {
    async fn get_trust_bundle(
        &self,
        request: Request<pb::GetTrustBundleRequest>,
    ) -> Result<Response<pb::TrustBundle>, Status> {
        let pb::GetTrustBundleRequest {} = request.into_inner();
        let bundle = self.issuing.bundle();
        Ok(Response::new(pb::TrustBundle {
            trust_domain: bundle.domain().to_string(),
            certificates_der: bundle.to_der(),
            pem: self.issuing.bundle_pem().to_owned(),
            spiffe_jwks: self.issuing.bundle_jwks().to_owned(),
        }))
    }
}
