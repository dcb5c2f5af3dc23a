//! What changes would do, and which assignments contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt as _;
use futures::future::{self, BoxFuture};
use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_runtime::{caller, request};
use muster_types::{GroupId, PolicyId};
use roaring::RoaringBitmap;
use tonic::{Request, Response, Status};

use super::{Grpc, asked};
use crate::commands::Proposed;
use crate::error::status;
use crate::grpc::convert;
use crate::queries::plan::Planned;

impl Grpc {
    pub(super) async fn answer_plan_changes(
        &self,
        request: Request<pb::PlanChangesRequest>,
    ) -> Result<Response<pb::Plan>, Status> {
        let asked = asked(&request, "", true)?;
        self.settled(&request).await?;
        let pb::PlanChangesRequest { parent, changes, memberships, sample_size } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let changes = convert::changes(tenant, changes)?;
        let memberships = convert::memberships(tenant, &memberships)?;
        let sample_size = convert::sample_size(sample_size)?;
        let groups: BTreeSet<_> = memberships.keys().copied().collect();
        let proposed = self.commands.propose(&asked, &changes, &groups).await.map_err(status)?;
        let planned = self.queries.plan(proposed.facts(), memberships).await.map_err(status)?;
        let unknown = self.unknown(&planned, sample_size).await;
        let sample = self.queries.some_devices(&planned.plan.touched, sample_size);
        Ok(Response::new(convert::plan(tenant, planned, sample, unknown)))
    }

    pub(super) async fn answer_list_collisions(
        &self,
        request: Request<pb::ListCollisionsRequest>,
    ) -> Result<Response<pb::ListCollisionsResponse>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ListCollisionsRequest { parent, policy } = request.into_inner();
        let tenant = request::parent(self.tenant, &parent)?;
        let of = (!policy.is_empty()).then(|| self.asked_for(&policy)).transpose()?;
        let (collisions, positions) = self.queries.collisions(of).await.map_err(status)?;
        Ok(Response::new(pb::ListCollisionsResponse {
            collisions: collisions.iter().map(|found| convert::collision(tenant, found)).collect(),
            position: positions.to_string(),
        }))
    }

    /// Whether what was planned still holds; no digest approves of everything.
    pub(super) fn approve<'a>(
        &'a self,
        proposed: &Proposed,
        plan_digest: &'a [u8],
        memberships: &'a BTreeMap<GroupId, RoaringBitmap>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        if plan_digest.is_empty() {
            return future::ready(Ok(())).boxed();
        }
        let facts = proposed.facts();
        let approve = async move {
            let planned = self.queries.plan(facts, memberships.clone()).await?;
            if planned.plan.digest == plan_digest {
                return Ok(());
            }
            let message = "what the changes would do is not what was planned: plan again";
            Err(Fault::new(ErrorCode::PlanMovedOn, message).with("position", planned.positions))
        };
        approve.boxed()
    }

    /// Collisions of the policies that changes touched.
    pub(super) async fn collisions_of(&self, policies: Vec<PolicyId>) -> Result<Vec<pb::Collision>, Fault> {
        if policies.is_empty() {
            return Ok(Vec::new());
        }
        let (collisions, _) = self.queries.collisions(Some(policies.into_iter().collect())).await?;
        Ok(collisions.iter().map(|found| convert::collision(self.tenant, found)).collect())
    }

    fn asked_for(&self, policy: &str) -> Result<BTreeSet<PolicyId>, Status> {
        let id = request::policy(self.tenant, "policy", policy)?;
        self.queries.policy(id).ok_or(crate::domain::policy::Error::Unknown).map_err(status)?;
        Ok(BTreeSet::from([id]))
    }

    /// Asks identity of whom it is unknown whether they are in a group that the changes touch. A plan without that number
    /// is worth having, and says so.
    async fn unknown(&self, planned: &Planned, sample_size: usize) -> convert::Unknown {
        match self.identity.unknown(self.tenant, &planned.groups, &planned.positions).await {
            Ok(unknown) => convert::Unknown {
                devices: Ok(unknown.len()),
                sample: self.queries.some_devices(&unknown, sample_size),
            },
            Err(fault) => convert::Unknown { devices: Err(fault), sample: Vec::new() },
        }
    }
}
