//! What devices call.

use muster_errors::{ErrorCode, Fault};
use muster_proto::convert::timestamp;
use muster_proto::enroll::v1 as pb;
use muster_proto::enroll::v1::device_enrollment_service_server::DeviceEnrollmentService;
use muster_proto::identity::v1::EstablishTrustResponse;
use muster_runtime::{caller, position};
use muster_types::{EnrollmentCode, ResourceName, Service};
use tonic::{Request, Response, Status};

use super::{Grpc, Welcome, convert};
use crate::commands::RETRY_AFTER_SECONDS;
use crate::domain::enrollment::ManagedBy;
use crate::error::status;

impl Grpc {
    async fn onboarded(&self, request: pb::OnboardRequest) -> Result<Response<pb::OnboardResponse>, Fault> {
        let _admitted = self.admission.admit()?;
        let convert::Wish { mut device, csr_der, hardware_keys, proof } =
            convert::onboard(self.tenant, request)?;
        if let Some(proof) = proof.clone() {
            // Nobody without a token learns whose proof it is, or costs identity anything.
            self.commands.admit((self.tenant, device.token), &device.secret_hash).await?;
            let known = self.identity.identify(self.tenant, proof, &csr_der).await;
            device.device = known.map_err(mismatch)?;
        }
        let key_digest = device.key_digest;
        let entered = self.commands.onboard(&device).await?.admitted()?;
        let trust =
            self.identity.establish_trust(self.tenant, &entered, csr_der, proof, hardware_keys).await?;
        let EstablishTrustResponse { spiffe_id, certificate_chain_der, trust_bundle_der, kind, not_after: _ } =
            trust;
        let done = self.commands.succeed((self.tenant, entered.device), key_digest, &spiffe_id).await?;
        let (outcome, code) =
            done.state.onboarded().map_or((entered.outcome, entered.code), |now| (now.outcome, now.code));
        let Welcome { endpoints, policy_keys } = self.welcome.clone();
        let mut response = Response::new(pb::OnboardResponse {
            device: ResourceName::Device(self.tenant, entered.device).to_string(),
            certificate_chain_der,
            trust_bundle_der,
            policy_keys,
            endpoints: Some(endpoints),
            first_check_in_time: Some(timestamp(self.clock.now())),
            enrollment_status: convert::status(outcome).into(),
            enrollment_code: code.as_str().to_owned(),
            registration_kind: kind,
        });
        position::stamp(&mut response, Service::Enroll, done.position.or(entered.position));
        self.metrics.onboarded(entered.position.is_none());
        Ok(response)
    }
}

/// A proof of another tenant is a reason not to enroll, and has an enrollment code; all else stays what it was.
fn mismatch(fault: Fault) -> Fault {
    if fault.code != ErrorCode::TenantMismatch {
        return fault;
    }
    let code = EnrollmentCode::TenantMismatch;
    Fault::new(ErrorCode::EnrollmentRefused, fault.message)
        .with("enrollment_code", code)
        .with("defender_code", code.shown_defender_code())
        .with("retry_after_seconds", RETRY_AFTER_SECONDS)
}

#[tonic::async_trait]
impl DeviceEnrollmentService for Grpc {
    async fn onboard(
        &self,
        request: Request<pb::OnboardRequest>,
    ) -> Result<Response<pb::OnboardResponse>, Status> {
        self.onboarded(request.into_inner()).await.map_err(|fault| {
            self.metrics.onboarding_failed(fault.code);
            status(fault)
        })
    }

    async fn report_facts(
        &self,
        request: Request<pb::ReportFactsRequest>,
    ) -> Result<Response<pb::ReportFactsResponse>, Status> {
        let device = caller::device(&request)?;
        let pb::ReportFactsRequest { facts, troubles } = request.into_inner();
        let (facts, troubles) = (convert::device_facts(facts)?, convert::troubles(troubles)?);
        let facts_digest = facts.digest().to_vec();
        let done = self.commands.report_facts(device, facts, troubles).await.map_err(status)?;
        self.metrics.facts_reported(done.position.is_some());
        let (managed_by, code) = done
            .state
            .onboarded()
            .map_or((ManagedBy::Nobody, EnrollmentCode::NotEnrolled), |now| (now.authority, now.code));
        let mut response = Response::new(pb::ReportFactsResponse {
            facts_digest,
            managed_by: pb::ManagedBy::from(managed_by).into(),
            enrollment_code: code.as_str().to_owned(),
        });
        position::stamp(&mut response, Service::Enroll, done.position);
        Ok(response)
    }

    async fn confirm_offboarding(
        &self,
        request: Request<pb::ConfirmOffboardingRequest>,
    ) -> Result<Response<pb::ConfirmOffboardingResponse>, Status> {
        let device = caller::device(&request)?;
        let taken_back = convert::taken_back(request.into_inner())?;
        let done = self.commands.confirm_offboarding(device, taken_back).await.map_err(status)?;
        let mut response = Response::new(pb::ConfirmOffboardingResponse {});
        position::stamp(&mut response, Service::Enroll, done.position);
        Ok(response)
    }
}
