//! What admins call.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_proto::enroll::v1 as pb;
use muster_proto::enroll::v1::enrollment_admin_service_server::EnrollmentAdminService;
use muster_runtime::{caller, request};
use muster_types::{DeviceId, EnrollmentCode, Positions, Service, TokenId};
use tonic::{Request, Response, Status};

use super::{Grpc, convert, page, secret};
use crate::commands::{Asked, DeviceOf, IssueToken, Outcome, token_id};
use crate::domain::enrollment::Enrollment;
use crate::domain::onboarding_token::{self, OnboardingToken, Terms};
use crate::domain::scope::Scope;
use crate::error::status;
use crate::filter;
use crate::queries::{Listed, Order};
use crate::wire;

impl Grpc {
    fn token(&self, id: TokenId, token: &OnboardingToken) -> Result<pb::OnboardingToken, Fault> {
        let issued = token.issued().ok_or(onboarding_token::Error::Unknown)?;
        Ok(convert::token(self.tenant, id, issued))
    }

    /// A device as a command on it leaves it.
    async fn changed(&self, device: DeviceOf, outcome: Outcome) -> Result<Response<pb::Device>, Status> {
        let done = outcome.map_err(status)?;
        let device = self.after(device.1, &done.state, done.position).await?;
        self.stamped(Response::new(device), done.position).await
    }

    /// The device that a call names.
    fn device_of(&self, name: &str) -> Result<DeviceOf, Fault> {
        Ok((self.tenant, request::device(self.tenant, "name", name)?))
    }

    /// A device after a command: the view says what the command has no part in.
    async fn after(
        &self,
        id: DeviceId,
        state: &Enrollment,
        written: Option<u64>,
    ) -> Result<pb::Device, Status> {
        if self.queries.device(self.tenant, id).is_none() || written.is_some() {
            let position = self.commands.seen_at(written).await.map_err(status)?;
            // Late or not: the command went through, and what it changed is known here.
            drop(self.queries.reach(&Positions::of(Service::Enroll, position)).await);
        }
        let device = self.shown(id)?;
        Ok(state.onboarded().map_or(device.clone(), |now| convert::device::over(device, self.tenant, now)))
    }

    fn enforcement_scope(&self) -> pb::EnforcementScope {
        let (settings, used) = (self.queries.settings(self.tenant), self.queries.seats_used(self.tenant));
        convert::scope(self.tenant, &settings, used)
    }
}

fn asked(admin: &str, request_id: &str, validate_only: bool) -> Result<Asked, Fault> {
    Ok(Asked { actor: Actor::admin(admin), request: request::id(request_id)?, validate_only })
}

#[tonic::async_trait]
impl EnrollmentAdminService for Grpc {
    async fn create_onboarding_token(
        &self,
        request: Request<pb::CreateOnboardingTokenRequest>,
    ) -> Result<Response<pb::CreateOnboardingTokenResponse>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::CreateOnboardingTokenRequest {
            parent,
            ttl,
            uses_max,
            request_id,
            validate_only,
            tags,
            platforms,
            display_name,
        } = request.into_inner();
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
        let token = (self.tenant, id);
        let done = self.commands.revoke_token(token, request, validate_only, actor).await.map_err(status)?;
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
        Ok(Response::new(self.shown(id)?))
    }

    async fn list_devices(
        &self,
        request: Request<pb::ListDevicesRequest>,
    ) -> Result<Response<pb::ListDevicesResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListDevicesRequest { parent, page_size, page_token, filter, order_by } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let of = page::fingerprint(&filter, &order_by);
        let page = page::page(page_size, &page_token, &of)?;
        let plan = filter::plan(&filter).map_err(Fault::from)?;
        let order = Order::parse(&order_by).map_err(convert::order)?;
        let Listed { devices, next, total } = self.queries.devices(tenant, &plan, order, &page);
        let labels = self.queries.scope(tenant).0.legacy_labels;
        Ok(Response::new(pb::ListDevicesResponse {
            devices: devices.into_iter().map(|device| convert::device::device(device, labels)).collect(),
            next_page_token: page::token(next, &of),
            total_size: total,
        }))
    }

    async fn tag_device(
        &self,
        request: Request<pb::TagDeviceRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        let admin = caller::admin(&request)?;
        let pb::TagDeviceRequest { name, add_tags, remove_tags, request_id, validate_only } =
            request.into_inner();
        let (device, asked) = (self.device_of(&name)?, asked(&admin, &request_id, validate_only)?);
        self.changed(device, self.commands.tag(&asked, device, add_tags, remove_tags).await).await
    }

    async fn offboard_device(
        &self,
        request: Request<pb::OffboardDeviceRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        let admin = caller::admin(&request)?;
        let pb::OffboardDeviceRequest { name, ttl, request_id, validate_only } = request.into_inner();
        let (device, asked) = (self.device_of(&name)?, asked(&admin, &request_id, validate_only)?);
        let ttl = convert::order_ttl(ttl)?;
        self.changed(device, self.commands.offboard(&asked, device, ttl).await).await
    }

    async fn delete_device(
        &self,
        request: Request<pb::DeleteDeviceRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        let admin = caller::admin(&request)?;
        let pb::DeleteDeviceRequest { name, request_id, validate_only } = request.into_inner();
        let (device, asked) = (self.device_of(&name)?, asked(&admin, &request_id, validate_only)?);
        self.changed(device, self.commands.delete(&asked, device).await).await
    }

    async fn allow_reenrollment(
        &self,
        request: Request<pb::AllowReenrollmentRequest>,
    ) -> Result<Response<pb::Device>, Status> {
        let admin = caller::admin(&request)?;
        let pb::AllowReenrollmentRequest { name, request_id, validate_only } = request.into_inner();
        let (device, asked) = (self.device_of(&name)?, asked(&admin, &request_id, validate_only)?);
        self.changed(device, self.commands.allow_reenrollment(&asked, device).await).await
    }

    async fn list_authority_intervals(
        &self,
        request: Request<pb::ListAuthorityIntervalsRequest>,
    ) -> Result<Response<pb::ListAuthorityIntervalsResponse>, Status> {
        caller::admin(&request)?;
        let pb::ListAuthorityIntervalsRequest { name, page_size, page_token } = request.into_inner();
        let id = request::device(self.tenant, "name", &name)?;
        let page = request::numbered_page(page_size, &page_token)?;
        let intervals = self.queries.authorities((self.tenant, id), page).await;
        let unknown = || Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}"));
        let intervals = intervals.map_err(|error| status(error.to_fault()))?.ok_or_else(unknown)?;
        Ok(Response::new(convert::authorities(intervals)))
    }

    async fn get_enforcement_scope(
        &self,
        request: Request<pb::GetEnforcementScopeRequest>,
    ) -> Result<Response<pb::EnforcementScope>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        convert::scope_name(self.tenant, "name", &request.into_inner().name)?;
        Ok(Response::new(self.enforcement_scope()))
    }

    async fn update_enforcement_scope(
        &self,
        request: Request<pb::UpdateEnforcementScopeRequest>,
    ) -> Result<Response<pb::UpdateEnforcementScopeResponse>, Status> {
        let admin = caller::admin(&request)?;
        let pb::UpdateEnforcementScopeRequest { enforcement_scope, etag, request_id, validate_only } =
            request.into_inner();
        let missing = || Fault::invalid_field("enforcement_scope", "must be set");
        let wanted = enforcement_scope.ok_or_else(missing)?;
        convert::scope_name(self.tenant, "enforcement_scope.name", &wanted.name)?;
        let asked = asked(&admin, &request_id, validate_only)?;
        let change = |scope: &Scope| Ok(wire::scope_over(scope, wanted.clone())?);
        // What it touches is counted first: once it is in force, devices are decided anew at once.
        let before = self.queries.settings(self.tenant).scope;
        let preview = self.queries.preview(self.tenant, &change(&before)?);
        let done = self.commands.change_scope(&asked, self.tenant, &etag, change).await.map_err(status)?;
        let used = self.queries.seats_used(self.tenant);
        let response = Response::new(pb::UpdateEnforcementScopeResponse {
            enforcement_scope: Some(convert::scope(self.tenant, &done.state, used)),
            devices_gained: preview.gained,
            devices_lost: preview.lost,
            devices_recoded: preview.recoded,
        });
        self.stamped(response, done.position).await
    }

    async fn list_enrollment_codes(
        &self,
        request: Request<pb::ListEnrollmentCodesRequest>,
    ) -> Result<Response<pb::ListEnrollmentCodesResponse>, Status> {
        caller::admin(&request)?;
        let mut codes = EnrollmentCode::ALL.to_vec();
        codes.sort_unstable_by_key(|code| code.as_str());
        let enrollment_codes = codes.into_iter().map(convert::device::enrollment_code).collect();
        Ok(Response::new(pb::ListEnrollmentCodesResponse { enrollment_codes }))
    }
}
