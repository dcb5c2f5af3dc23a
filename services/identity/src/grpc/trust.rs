//! Trust in devices, for enroll.

use muster_errors::{ErrorCode, Fault};
use muster_pki::{IssueError, SpiffeId};
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::trust_service_server::TrustService;
use muster_runtime::{caller, position};
use muster_types::Service;
use tonic::{Request, Response, Status};

use super::{Grpc, convert};
use crate::commands::Establish;
use crate::config::CERTIFICATE_VALIDITY;
use crate::error::{log_status, status};

#[tonic::async_trait]
impl TrustService for Grpc {
    async fn establish_trust(
        &self,
        request: Request<pb::EstablishTrustRequest>,
    ) -> Result<Response<pb::EstablishTrustResponse>, Status> {
        caller::service(&request, &[Service::Enroll])?;
        let wish = convert::establish_trust(self.tenant, request.into_inner())?;
        let now = self.clock.now();
        let not_after = now.plus(CERTIFICATE_VALIDITY);
        let id = SpiffeId::device(self.authority.domain().clone(), wish.tenant, wish.device);
        let issued = self
            .authority
            .issue_device(&wish.csr, &id, now, not_after)
            .map_err(|error: IssueError| status(Fault::new(ErrorCode::Internal, error.to_string())))?;
        let establish = Establish {
            tenant: wish.tenant,
            device: wish.device,
            spiffe_id: id.to_string(),
            key_digest: wish.csr.key_digest(),
            certificate_serial: issued.serial,
            not_after,
            correlation_id: wish.correlation_id,
            causation_id: wish.causation_id,
        };
        // A certificate that the log does not know must not leave.
        let done = self.commands.establish_trust(establish).await.map_err(log_status)?;
        self.metrics.certificate_issued();
        let mut response = Response::new(pb::EstablishTrustResponse {
            spiffe_id: id.to_string(),
            certificate_chain_der: vec![issued.certificate_der],
            trust_bundle_der: self.trust_bundle_der.clone(),
            kind: pb::RegistrationKind::from(done.state.kind()).into(),
            not_after: Some(timestamp(not_after)),
        });
        position::stamp(&mut response, Service::Identity, done.position);
        Ok(response)
    }
    async fn identify_device(
        &self,
        request: Request<pb::IdentifyDeviceRequest>,
    ) -> Result<Response<pb::IdentifyDeviceResponse>, Status> {
        caller::service(&request, &[Service::Enroll])?;
        Err(Status::unimplemented("not yet"))
    }
}
