//! Groups, for admins.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_proto::identity::v1 as pb;
use muster_proto::identity::v1::group_service_server::GroupService;
use muster_runtime::request::Page;
use muster_runtime::{caller, position, request};
use muster_types::GroupId;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::PreviewWish;
use super::{Grpc, convert, explain};
use crate::commands::{Order, group_id};
use crate::domain::group;
use crate::domain::rule::Rule;
use crate::error::status;
use crate::projection::groups::GroupRow;

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
        let define = convert::new_group(tenant, group)?;
        let order = Order::of(actor, request).only_validated(validate_only);
        let done = self.commands.define_group(define, &order, &self.queries).await.map_err(status)?;
        let response = Response::new(self.group(group_id(tenant, request), &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn get_group(&self, request: Request<pb::GetGroupRequest>) -> Result<Response<pb::Group>, Status> {
        caller::admin(&request)?;
        self.followed(&request).await?;
        let pb::GetGroupRequest { name } = request.into_inner();
        let row = self.known(request::group(self.tenant, "name", &name)?)?;
        Ok(Response::new(convert::group_row(&row, &self.ages)))
    }

    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Result<Response<pb::ListGroupsResponse>, Status> {
        caller::admin(&request)?;
        self.followed(&request).await?;
        let pb::ListGroupsRequest { parent, page_size, page_token } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let page = convert::page_of_groups(page_size, &page_token)?;
        Ok(Response::new(convert::groups(&self.queries.groups(tenant, page), &self.ages)))
    }

    async fn modify_group_members(
        &self,
        request: Request<pb::ModifyGroupMembersRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let change = convert::change_of_members(self.tenant, request.into_inner())?;
        let order = Order::of(actor, change.request).only_validated(change.validate_only);
        let modify = change.modify;
        let group = modify.group;
        let done = self.commands.modify_members(modify, &order, &self.queries).await;
        let done = done.map_err(|failure| status(convert::names_the_device(self.tenant, failure)))?;
        if done.position.is_some() {
            self.metrics.membership_changed();
        }
        let response = Response::new(self.group(group, &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn list_group_members(
        &self,
        request: Request<pb::ListGroupMembersRequest>,
    ) -> Result<Response<pb::ListGroupMembersResponse>, Status> {
        caller::admin(&request)?;
        self.followed(&request).await?;
        let pb::ListGroupMembersRequest { name, page_size, page_token, unknown_only } = request.into_inner();
        let id = request::group(self.tenant, "name", &name)?;
        let page = request::numbered_page(page_size, &page_token)?;
        if unknown_only {
            let row = self.known(id)?;
            return Ok(Response::new(self.unknown_members(&row, &page)));
        }
        let members = self.queries.members(self.tenant, id, &page);
        let members = members.ok_or(group::Error::Unknown).map_err(status)?;
        Ok(Response::new(convert::members(self.tenant, members)))
    }

    async fn update_group_rule(
        &self,
        request: Request<pb::UpdateGroupRuleRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let (change, request, validate_only) = convert::change_of_rule(self.tenant, request.into_inner())?;
        let order = Order::of(actor, request).only_validated(validate_only);
        let id = change.group;
        let done = self.commands.change_rule(change, &order, &self.queries).await.map_err(status)?;
        let response = Response::new(self.group(id, &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Result<Response<pb::Group>, Status> {
        let actor = Actor::admin(&caller::admin(&request)?);
        let pb::DeleteGroupRequest { name, etag, request_id, validate_only } = request.into_inner();
        let id = request::group(self.tenant, "name", &name)?;
        let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
        let expected = convert::revision(&etag)?;
        let done = self.commands.delete_group((self.tenant, id), expected, &order).await.map_err(status)?;
        let response = Response::new(self.group(id, &done.state)?);
        self.stamped(response, done.position).await
    }

    async fn explain_membership(
        &self,
        request: Request<pb::ExplainMembershipRequest>,
    ) -> Result<Response<pb::MembershipExplanation>, Status> {
        caller::admin(&request)?;
        self.followed(&request).await?;
        let pb::ExplainMembershipRequest { group, device, as_of } = request.into_inner();
        let group = request::group(self.tenant, "group", &group)?;
        let device = request::device(self.tenant, "device", &device)?;
        let past = self.moments.resolve(&as_of.unwrap_or_default()).await.map_err(status)?;
        let cut = match past {
            Some(cut) => {
                position::settle(self.queries.reach(&cut.positions)).await?;
                cut.positions
            }
            None => self.queries.now(),
        };
        let explained = self.queries.explain_membership(&self.log, (self.tenant, group), device, &cut).await;
        Ok(Response::new(explain::membership(self.tenant, group, explained.map_err(status)?)))
    }

    async fn preview_rule(
        &self,
        request: Request<pb::PreviewRuleRequest>,
    ) -> Result<Response<pb::PreviewRuleResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let PreviewWish { rule, device, group, with_members } =
            convert::preview(self.tenant, request.into_inner())?;
        let replaced = group.unwrap_or_else(|| GroupId::from_uuid(Uuid::nil()));
        let obstacle = self.queries.obstacle(self.tenant, &rule, Some(replaced));
        if let Some(error) = obstacle.filter(|error| !matches!(error, group::Error::Limit { .. })) {
            return Err(status(error));
        }
        let members = group.map(|id| self.known(id)).transpose()?.map(|row| row.group.members);
        let members = with_members.then(|| members.unwrap_or_default());
        let queries = self.queries.clone();
        let asked = spawn_blocking(move || queries.preview(&rule, device, members.as_ref()));
        let asked =
            asked.await.map_err(|error| status(Fault::new(ErrorCode::Internal, error.to_string())))?;
        let preview = asked.map_err(|device| status(convert::unknown_device(self.tenant, device)))?;
        Ok(Response::new(convert::previewed(self.tenant, preview)))
    }
}

impl Grpc {
    /// Waits until the groups are what was known of devices where the caller wants to read.
    pub(super) async fn followed<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        position::settle(self.queries.reach(&wanted)).await?;
        Ok(position::settle(self.ages.wait_for(&wanted)).await?)
    }

    /// A page of the devices of which a group's rule cannot say whether they are in.
    fn unknown_members(&self, row: &GroupRow, page: &Page<u32>) -> pb::ListGroupMembersResponse {
        let rule = row.group.rule.as_deref().and_then(|rule| Rule::parse(rule).ok());
        let (Some(rule), Some(age)) = (rule, self.ages.of(row.id)) else {
            return pb::ListGroupMembersResponse::default();
        };
        let from = page.mark.map_or(0, |mark| mark.saturating_add(1));
        let mut left = age.unknown.range(from..);
        let ordinals: Vec<_> = left.by_ref().take(page.rows).collect();
        let next = ordinals.last().copied().filter(|_| left.next().is_some());
        convert::unknown_members(self.tenant, &self.queries.missing(&rule, &ordinals), next)
    }
}
