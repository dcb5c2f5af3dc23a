//! The gRPC services: decode, one call, encode.

mod convert;
mod identity;
pub mod secret;

use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_proto::convert::timestamp;
use muster_proto::enroll::v1 as pb;
use muster_proto::enroll::v1::device_enrollment_service_server::{
    DeviceEnrollmentService, DeviceEnrollmentServiceServer,
};
use muster_proto::enroll::v1::enrollment_admin_service_server::{
    EnrollmentAdminService, EnrollmentAdminServiceServer,
};
use muster_proto::identity::v1::EstablishTrustResponse;
use muster_runtime::{caller, position, request};
use muster_types::{Clock, ResourceName, Service, TenantId, TokenId};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::commands::{Commands, IssueToken, token_id};
use crate::domain::onboarding_token::{OnboardingToken, Terms};
use crate::error::status;
use crate::metrics::EnrollMetrics;
use crate::queries::Queries;
use crate::wire;

pub use identity::IdentityClient;

/// Largest request of a device, in bytes.
const DEVICE_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What answers calls.
pub struct Grpc {
    /// The tenant served.
    pub tenant: TenantId,
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// Where trust is established.
    pub identity: IdentityClient,
    /// What every device is told when it comes in.
    pub welcome: Welcome,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Numbers.
    pub metrics: EnrollMetrics,
}

/// What every device is told when it comes in.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// Where it finds the services.
    pub endpoints: pb::Endpoints,
    /// Keys that may sign policy.
    pub policy_keys: Vec<pb::PolicyVerificationKey>,
}

impl Grpc {
    /// The services, for a server.
    #[must_use]
    pub fn routes(self) -> Routes {
        let this = Arc::new(self);
        let devices = DeviceEnrollmentServiceServer::from_arc(this.clone())
            .max_decoding_message_size(DEVICE_REQUEST_BYTES_MAX);
        Routes::new(devices).add_service(EnrollmentAdminServiceServer::from_arc(this))
    }

    async fn onboard(&self, request: pb::OnboardRequest) -> Result<Response<pb::OnboardResponse>, Fault> {
        let (wish, csr_der) = convert::onboard(self.tenant, request)?;
        let device = self.commands.onboard(&wish).await?;
        let trust = self.identity.establish_trust(wish.tenant, &device, csr_der).await?;
        let EstablishTrustResponse {
            spiffe_id,
            certificate_chain_der,
            trust_bundle_der,
            kind: _,
            not_after: _,
        } = trust;
        let done = self.commands.succeed((wish.tenant, device.device), wish.key_digest, &spiffe_id).await?;
        let outcome = done.state.onboarded().map_or(device.outcome, |onboarded| onboarded.outcome);
        let Welcome { endpoints, policy_keys } = self.welcome.clone();
        let mut response = Response::new(pb::OnboardResponse {
            device: ResourceName::Device(wish.tenant, device.device).to_string(),
            certificate_chain_der,
            trust_bundle_der,
            policy_keys,
            endpoints: Some(endpoints),
            first_check_in_time: Some(timestamp(self.clock.now())),
            enrollment_status: convert::status(outcome).into(),
            ..Default::default()
        });
        position::stamp(&mut response, Service::Enroll, done.position.or(device.position));
        self.metrics.onboarded(device.position.is_none());
        Ok(response)
    }

    /// Tells the caller what a reader must have seen to see this.
    async fn stamped<T>(
        &self,
        mut response: Response<T>,
        written: Option<u64>,
    ) -> Result<Response<T>, Status> {
        let position = self.commands.seen_at(written).await.map_err(status)?;
        position::stamp(&mut response, Service::Enroll, Some(position));
        Ok(response)
    }

    /// Waits until the views show what the caller wants to see.
    async fn settled<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        Ok(position::settle(self.queries.reach(&wanted)).await?)
    }

    fn token(&self, id: TokenId, token: &OnboardingToken) -> Result<pb::OnboardingToken, Fault> {
        let issued = token.issued().ok_or(crate::domain::onboarding_token::Error::Unknown)?;
        Ok(convert::token(self.tenant, id, issued))
    }
}

#[tonic::async_trait]
impl DeviceEnrollmentService for Grpc {
    async fn onboard(
        &self,
        request: Request<pb::OnboardRequest>,
    ) -> Result<Response<pb::OnboardResponse>, Status> {
        let onboarded = Self::onboard(self, request.into_inner()).await;
        onboarded.map_err(|fault| {
            self.metrics.onboarding_failed(fault.code);
            status(fault)
        })
    }

    async fn report_facts(
        &self,
        request: Request<pb::ReportFactsRequest>,
    ) -> Result<Response<pb::ReportFactsResponse>, Status> {
        let device = caller::device(&request)?;
        let pb::ReportFactsRequest { facts, troubles: _ } = request.into_inner();
        let facts = convert::device_facts(facts)?;
        let facts_digest = facts.digest().to_vec();
        let done = self.commands.report_facts(device, facts).await.map_err(status)?;
        self.metrics.facts_reported(done.position.is_some());
        let mut response = Response::new(pb::ReportFactsResponse { facts_digest, ..Default::default() });
        position::stamp(&mut response, Service::Enroll, done.position);
        Ok(response)
    }

    async fn confirm_offboarding(
        &self,
        _: Request<pb::ConfirmOffboardingRequest>,
    ) -> Result<Response<pb::ConfirmOffboardingResponse>, Status> {
        Err(Status::unimplemented("not there yet"))
    }
}

#[tonic::async_trait]
impl EnrollmentAdminService for Grpc {
    async fn create_onboarding_token(
        &self,
        request: Request<pb::CreateOnboardingTokenRequest>,
    ) -> Result<Response<pb::CreateOnboardingTokenResponse>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::CreateOnboardingTokenRequest { parent, ttl, uses_max, request_id, validate_only, tags, platforms, display_name } =
            request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let request = request::id(&request_id)?;
        let (ttl, uses_max) = (convert::ttl(ttl)?, convert::uses_max(uses_max)?);
        let id = token_id(tenant, request);
        let secret = secret::Secret::generate(id)
            .map_err(|error| status(Fault::new(ErrorCode::Internal, error.to_string())))?;
        let platforms = wire::platforms(&platforms).map_err(Fault::from)?;
        let terms = Terms { uses_max, tags: wire::tags(tags), platforms, display_name: display_name.into() };
        let issue = IssueToken { tenant, request, secret_hash: secret.hash(), ttl, terms, validate_only };
        let done = self.commands.issue_token(&issue, actor).await.map_err(status)?;
        // Only the call that made the token has its secret: a repeat, or a mere check, made another.
        let made = done.position.is_some();
        if made {
            self.metrics.token_issued();
        }
        let response = Response::new(pb::CreateOnboardingTokenResponse {
            onboarding_token: Some(self.token(id, &done.state)?),
            secret: if made { secret.reveal() } else { String::new() },
        });
        self.stamped(response, done.position).await
    }

    async fn list_onboarding_tokens(
        &self,
        request: Request<pb::ListOnboardingTokensRequest>,
    ) -> Result<Response<pb::ListOnboardingTokensResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListOnboardingTokensRequest { parent, page_size, page_token } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let page = request::numbered_page(page_size, &page_token)?;
        let rows = self.queries.tokens(tenant, page);
        Ok(Response::new(convert::tokens(rows.map(|row| convert::token(row.tenant, row.id, &row.issued)))))
    }

    async fn revoke_onboarding_token(
        &self,
        request: Request<pb::RevokeOnboardingTokenRequest>,
    ) -> Result<Response<pb::OnboardingToken>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::RevokeOnboardingTokenRequest { name, request_id, validate_only } = request.into_inner();
        let id = request::onboarding_token(self.tenant, "name", &name)?;
        let request = request::id(&request_id)?;
        let done = self
            .commands
            .revoke_token((self.tenant, id), request, validate_only, actor)
            .await
            .map_err(status)?;
        let response = Response::new(self.token(id, &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn get_device(
        &self,
        request: Request<pb::GetDeviceRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetDeviceRequest { name } = request.into_inner();
        let id = request::device(self.tenant, "name", &name)?;
        let unknown = || Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}"));
        let device = self.queries.device(self.tenant, id).ok_or_else(unknown)?;
        Ok(Response::new(convert::device(device)?))
    }

    async fn list_devices(
        &self,
        request: Request<pb::ListDevicesRequest>,
    ) -> Result<Response<pb::ListDevicesResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListDevicesRequest { parent, page_size, page_token, .. } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let page = request::numbered_page(page_size, &page_token)?;
        Ok(Response::new(convert::devices(self.queries.devices(tenant, page))?))
    }

    async fn tag_device(&self, _: Request<pb::TagDeviceRequest>) -> Result<Response<pb::Device>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn offboard_device(
        &self,
        _: Request<pb::OffboardDeviceRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn delete_device(
        &self,
        _: Request<pb::DeleteDeviceRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn allow_reenrollment(
        &self,
        _: Request<pb::AllowReenrollmentRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn list_authority_intervals(
        &self,
        _: Request<pb::ListAuthorityIntervalsRequest>,
    ) -> Result<Response<pb::ListAuthorityIntervalsResponse>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn get_enforcement_scope(
        &self,
        _: Request<pb::GetEnforcementScopeRequest>,
    ) -> Result<Response<pb::EnforcementScope>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn update_enforcement_scope(
        &self,
        _: Request<pb::UpdateEnforcementScopeRequest>,
    ) -> Result<Response<pb::UpdateEnforcementScopeResponse>, Status> {
        Err(Status::unimplemented("not there yet"))
    }

    async fn list_enrollment_codes(
        &self,
        _: Request<pb::ListEnrollmentCodesRequest>,
    ) -> Result<Response<pb::ListEnrollmentCodesResponse>, Status> {
        Err(Status::unimplemented("not there yet"))
    }
}
