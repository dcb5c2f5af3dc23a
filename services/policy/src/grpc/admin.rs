//! Policies and their assignments, for admins.

mod apply;
mod changes;
mod check_in;
mod explain;
mod revisions;
mod waivers;

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::policy_service_server::PolicyService;
use muster_runtime::{caller, position, request};
use muster_types::Service;
use tonic::{Request, Response, Status};

use super::{Grpc, asked, because, convert};
use crate::commands::policy_id;
use crate::domain::assignment::Assigned;
use crate::domain::policy;
use crate::error::status;

fn stamped<T>(message: T, position: Option<u64>) -> Response<T> {
    let mut response = Response::new(message);
    position::stamp(&mut response, Service::Policy, position);
    response
}

fn device_unknown(name: &str) -> Fault {
    Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {name}"))
}

#[tonic::async_trait]
impl PolicyService for Grpc {
    async fn create_policy(
        &self,
        request: Request<pb::CreatePolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::CreatePolicyRequest { parent, policy, request_id: _, validate_only: _, reason } =
            request.into_inner();
        let asked = because(asked, &reason)?;
        let tenant = request::parent(self.tenant, &parent)?;
        let convert::Given { name: _, profile, etag: _, content } = convert::given(policy)?;
        let created = self.commands.create_policy(&asked, profile, content).await;
        let (id, done) = created.map_err(status)?;
        let known = done.state.known().ok_or(policy::Error::Unknown).map_err(status)?;
        debug_assert_eq!(id, policy_id(tenant, asked.request));
        Ok(stamped(convert::known(tenant, id, known), done.position))
    }

    async fn update_policy(
        &self,
        request: Request<pb::UpdatePolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::UpdatePolicyRequest { policy, request_id: _, validate_only: _, reason } =
            request.into_inner();
        let asked = because(asked, &reason)?;
        let convert::Given { name, profile: _, etag, content } = convert::given(policy)?;
        let id = request::policy(self.tenant, "policy.name", &name)?;
        let done = self.commands.revise_policy(&asked, id, etag, content).await.map_err(status)?;
        let known = done.state.known().ok_or(policy::Error::Unknown).map_err(status)?;
        Ok(stamped(convert::known(self.tenant, id, known), done.position))
    }

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetPolicyRequest { name } = request.into_inner();
        let id = request::policy(self.tenant, "name", &name)?;
        let row = self.queries.policy(id).ok_or(policy::Error::Unknown).map_err(status)?;
        Ok(Response::new(convert::policy(self.tenant, id, row)))
    }

    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> Result<Response<pb::ListPoliciesResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListPoliciesRequest { parent, page_size, page_token, show_deleted } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let (rows, next) = self.queries.policies(convert::page(page_size, &page_token)?, show_deleted);
        Ok(Response::new(pb::ListPoliciesResponse {
            policies: rows.into_iter().map(|(id, row)| convert::policy(tenant, id, row)).collect(),
            next_page_token: convert::page_token(next),
        }))
    }

    async fn delete_policy(&self, request: Request<pb::DeletePolicyRequest>) -> Result<Response<()>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::DeletePolicyRequest { name, etag, request_id: _, validate_only: _, reason } =
            request.into_inner();
        let asked = because(asked, &reason)?;
        let id = request::policy(self.tenant, "name", &name)?;
        let done = self.commands.delete_policy(&asked, id, etag).await.map_err(status)?;
        Ok(stamped((), done.position))
    }

    async fn assign_policy(
        &self,
        request: Request<pb::AssignPolicyRequest>,
    ) -> Result<Response<pb::Assignment>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::AssignPolicyRequest {
            policy,
            group,
            intent,
            request_id: _,
            validate_only: _,
            priority,
            filter,
        } = request.into_inner();
        let policy = request::policy(self.tenant, "policy", &policy)?;
        let group = convert::target(self.tenant, &group)?;
        let tie = convert::tie(intent, priority, filter)?;
        let done = self.commands.assign(&asked, policy, group, tie.clone()).await.map_err(status)?;
        let assigned = done.state.assigned().cloned().unwrap_or(Assigned { tie, at: self.clock.now() });
        Ok(stamped(convert::assignment(self.tenant, policy, group, &assigned), done.position))
    }

    async fn unassign_policy(
        &self,
        request: Request<pb::UnassignPolicyRequest>,
    ) -> Result<Response<()>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::UnassignPolicyRequest { policy, group, request_id: _, validate_only: _ } =
            request.into_inner();
        let policy = request::policy(self.tenant, "policy", &policy)?;
        let group = request::group(self.tenant, "group", &group)?;
        let done = self.commands.unassign(&asked, policy, group).await.map_err(status)?;
        Ok(stamped((), done.position))
    }

    async fn list_assignments(
        &self,
        request: Request<pb::ListAssignmentsRequest>,
    ) -> Result<Response<pb::ListAssignmentsResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListAssignmentsRequest { policy } = request.into_inner();
        let id = request::policy(self.tenant, "policy", &policy)?;
        let rows = self.queries.assignments(id).ok_or(policy::Error::Unknown).map_err(status)?;
        let convert = |(group, row)| convert::assignment(self.tenant, id, group, &row);
        Ok(Response::new(pb::ListAssignmentsResponse {
            assignments: rows.into_iter().map(convert).collect(),
        }))
    }

    async fn get_effective_policy(
        &self,
        request: Request<pb::GetEffectivePolicyRequest>,
    ) -> Result<Response<pb::EffectivePolicy>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetEffectivePolicyRequest { device } = request.into_inner();
        let id = request::device(self.tenant, "device", &device)?;
        let effective = self.queries.effective(id).ok_or_else(|| status(device_unknown(&device)))?;
        Ok(Response::new(convert::effective(self.tenant, id, &effective)))
    }

    async fn sync_device(
        &self,
        request: Request<pb::SyncDeviceRequest>,
    ) -> Result<Response<pb::SyncDeviceResponse>, Status> {
        self.answer_sync_device(request).await
    }

    async fn apply_changes(
        &self,
        request: Request<pb::ApplyChangesRequest>,
    ) -> Result<Response<pb::ApplyChangesResponse>, Status> {
        self.answer_apply_changes(request).await
    }

    async fn plan_changes(
        &self,
        request: Request<pb::PlanChangesRequest>,
    ) -> Result<Response<pb::Plan>, Status> {
        self.answer_plan_changes(request).await
    }

    async fn list_collisions(
        &self,
        request: Request<pb::ListCollisionsRequest>,
    ) -> Result<Response<pb::ListCollisionsResponse>, Status> {
        self.answer_list_collisions(request).await
    }

    async fn undelete_policy(
        &self,
        request: Request<pb::UndeletePolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        self.answer_undelete_policy(request).await
    }

    async fn list_policy_revisions(
        &self,
        request: Request<pb::ListPolicyRevisionsRequest>,
    ) -> Result<Response<pb::ListPolicyRevisionsResponse>, Status> {
        self.answer_list_policy_revisions(request).await
    }

    async fn diff_policy_revisions(
        &self,
        request: Request<pb::DiffPolicyRevisionsRequest>,
    ) -> Result<Response<pb::PolicyDiff>, Status> {
        self.answer_diff_policy_revisions(request).await
    }

    async fn rollback_policy(
        &self,
        request: Request<pb::RollbackPolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        self.answer_rollback_policy(request).await
    }

    async fn create_waiver(
        &self,
        request: Request<pb::CreateWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        self.answer_create_waiver(request).await
    }

    async fn get_waiver(
        &self,
        request: Request<pb::GetWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        self.answer_get_waiver(request).await
    }

    async fn list_waivers(
        &self,
        request: Request<pb::ListWaiversRequest>,
    ) -> Result<Response<pb::ListWaiversResponse>, Status> {
        self.answer_list_waivers(request).await
    }

    async fn revoke_waiver(
        &self,
        request: Request<pb::RevokeWaiverRequest>,
    ) -> Result<Response<pb::Waiver>, Status> {
        self.answer_revoke_waiver(request).await
    }

    async fn get_check_in_settings(
        &self,
        request: Request<pb::GetCheckInSettingsRequest>,
    ) -> Result<Response<pb::CheckInSettings>, Status> {
        self.answer_get_check_in_settings(request).await
    }

    async fn update_check_in_settings(
        &self,
        request: Request<pb::UpdateCheckInSettingsRequest>,
    ) -> Result<Response<pb::CheckInSettings>, Status> {
        self.answer_update_check_in_settings(request).await
    }

    async fn sync_devices(
        &self,
        request: Request<pb::SyncDevicesRequest>,
    ) -> Result<Response<pb::SyncDevicesResponse>, Status> {
        self.answer_sync_devices(request).await
    }

    async fn explain_device(
        &self,
        request: Request<pb::ExplainDeviceRequest>,
    ) -> Result<Response<pb::Explanation>, Status> {
        self.answer_explain_device(request).await
    }
}
