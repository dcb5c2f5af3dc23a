//! Revisions of policies, and policies that come back.

use muster_proto::policy::v1 as pb;
use tonic::{Request, Response, Status};

use super::Grpc;

impl Grpc {
    pub(super) async fn answer_undelete_policy(
        &self,
        _request: Request<pb::UndeletePolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        Err(Status::unimplemented("undelete_policy"))
    }

    pub(super) async fn answer_list_policy_revisions(
        &self,
        _request: Request<pb::ListPolicyRevisionsRequest>,
    ) -> Result<Response<pb::ListPolicyRevisionsResponse>, Status> {
        Err(Status::unimplemented("list_policy_revisions"))
    }

    pub(super) async fn answer_diff_policy_revisions(
        &self,
        _request: Request<pb::DiffPolicyRevisionsRequest>,
    ) -> Result<Response<pb::PolicyDiff>, Status> {
        Err(Status::unimplemented("diff_policy_revisions"))
    }

    pub(super) async fn answer_rollback_policy(
        &self,
        _request: Request<pb::RollbackPolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        Err(Status::unimplemented("rollback_policy"))
    }
}
