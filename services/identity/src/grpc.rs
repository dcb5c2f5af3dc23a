//! The gRPC services: decode, one call, encode.

mod convert;

use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_pki::{Authority, IssueError, SpiffeId};
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::group_service_server::{GroupService, GroupServiceServer};
use muster_proto::identity::v1::trust_service_server::{TrustService, TrustServiceServer};
use muster_runtime::{caller, position, request};
use muster_types::{Clock, GroupId, Service, TenantId};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::commands::{Commands, DefineGroup, Establish, ModifyMembers, group_id};
use crate::config::CERTIFICATE_VALIDITY;
use crate::domain::group::{self, Group};
use crate::error::{log_status, status};
use crate::metrics::IdentityMetrics;
use crate::projection::groups::GroupRow;
use crate::queries::Queries;

/// What answers calls.
pub struct Grpc {
    /// The tenant served.
    pub tenant: TenantId,
    /// The only writer.
    pub commands: Commands,
    /// The only reader.
    pub queries: Queries,
    /// What issues certificates.
    pub authority: Arc<Authority>,
    /// Certificates of the authorities that devices must trust, in DER.
    pub trust_bundle_der: Vec<Vec<u8>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Numbers.
    pub metrics: IdentityMetrics,
}

impl Grpc {
    /// The services, for a server.
    #[must_use]
    pub fn routes(self) -> Routes {
        let this = Arc::new(self);
        Routes::new(TrustServiceServer::from_arc(this.clone()))
            .add_service(GroupServiceServer::from_arc(this))
    }

    /// Tells the caller what a reader must have seen to see this.
    async fn stamped<T>(
        &self,
        mut response: Response<T>,
        written: Option<u64>,
    ) -> Result<Response<T>, Status> {
        let position = self.commands.seen_at(written).await.map_err(status)?;
        position::stamp(&mut response, Service::Identity, Some(position));
        Ok(response)
    }

    /// Waits until the views show what the caller wants to see.
    async fn settled<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        Ok(position::settle(self.queries.reach(&wanted)).await?)
    }

    fn known(&self, id: GroupId) -> Result<GroupRow, Fault> {
        self.queries.group(self.tenant, id).ok_or_else(|| group::Error::Unknown.into())
    }

    fn group(&self, id: GroupId, group: &Group) -> Result<pb::Group, Fault> {
        let defined = group.defined().ok_or(group::Error::Unknown)?;
        Ok(convert::group(self.tenant, id, defined))
    }
}

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
}

#[tonic::async_trait]
impl GroupService for Grpc {
    async fn create_group(
        &self,
        request: Request<pb::CreateGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::CreateGroupRequest { parent, group, request_id, validate_only } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let request = request::id(&request_id)?;
        let display_name = convert::new_group(group)?;
        let define = DefineGroup { tenant, request, display_name, validate_only };
        let done = self.commands.define_group(define, actor, &self.queries).await.map_err(status)?;
        let response = Response::new(self.group(group_id(tenant, request), &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn get_group(&self, request: Request<pb::GetGroupRequest>) -> Result<Response<pb::Group>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::GetGroupRequest { name } = request.into_inner();
        let GroupRow { tenant, id, group } = self.known(request::group(self.tenant, "name", &name)?)?;
        Ok(Response::new(convert::group(tenant, id, &group)))
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListGroupsRequest { parent, page_size, page_token } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let page = convert::page_of_groups(page_size, &page_token)?;
        Ok(Response::new(convert::groups(self.queries.groups(tenant, page))))
    }

    async fn modify_group_members(
        &self,
        request: Request<pb::ModifyGroupMembersRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let change = convert::change_of_members(self.tenant, request.into_inner())?;
        // A device may have come in a moment ago: only what all of the log does not know is unknown.
        self.queries.catch_up(self.commands.log()).await.map_err(status)?;
        let ordinals = |devices: &[_]| {
            self.queries.ordinals(devices).map_err(|device| convert::unknown_device(self.tenant, device))
        };
        let modify = ModifyMembers {
            tenant: self.tenant,
            group: change.group,
            request: change.request,
            add: ordinals(&change.add)?,
            remove: ordinals(&change.remove)?,
            expected: change.expected,
            validate_only: change.validate_only,
        };
        let done = self.commands.modify_members(modify, actor).await.map_err(status)?;
        if done.position.is_some() {
            self.metrics.membership_changed();
        }
        let response = Response::new(self.group(change.group, &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn list_group_members(
        &self,
        request: Request<pb::ListGroupMembersRequest>,
    ) -> Result<Response<pb::ListGroupMembersResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListGroupMembersRequest { name, page_size, page_token } = request.into_inner();
        let id = request::group(self.tenant, "name", &name)?;
        let page = request::numbered_page(page_size, &page_token)?;
        let members = self.queries.members(self.tenant, id, &page);
        let members = members.ok_or(group::Error::Unknown).map_err(status)?;
        Ok(Response::new(convert::members(self.tenant, members)))
    }
}
