//! Revisions of policies, and policies that come back.

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1 as pb;
use muster_runtime::{caller, request};
use tonic::{Request, Response, Status};

use super::{Grpc, asked, because, convert, stamped};
use crate::domain::policy;
use crate::error::status;
use crate::history::{self, Revision, RevisionName};

impl Grpc {
    pub(super) async fn answer_undelete_policy(
        &self,
        request: Request<pb::UndeletePolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::UndeletePolicyRequest { name, request_id: _, validate_only: _, reason } =
            request.into_inner();
        let asked = because(asked, &reason)?;
        let id = request::policy(self.tenant, "name", &name)?;
        let done = self.commands.undelete_policy(&asked, id).await.map_err(status)?;
        let known = done.state.known().ok_or(policy::Error::Unknown).map_err(status)?;
        Ok(stamped(convert::known(self.tenant, id, known), done.position))
    }

    pub(super) async fn answer_list_policy_revisions(
        &self,
        request: Request<pb::ListPolicyRevisionsRequest>,
    ) -> Result<Response<pb::ListPolicyRevisionsResponse>, Status> {
        caller::admin(&request)?;
        let pb::ListPolicyRevisionsRequest { name, page_size, page_token } = request.into_inner();
        let page = convert::revision_page(page_size, &page_token)?;
        let history = self.history(&name).await?;
        let older = |revision: &&Revision| page.mark.is_none_or(|mark| revision.number < mark);
        let mut rest = history.iter().rev().filter(older);
        let revisions: Vec<_> = rest.by_ref().take(page.rows).collect();
        let next = revisions.last().map(|last| last.number).filter(|_| rest.next().is_some());
        Ok(Response::new(pb::ListPolicyRevisionsResponse {
            revisions: revisions.into_iter().map(convert::revision).collect(),
            next_page_token: convert::revision_page_token(next),
        }))
    }

    pub(super) async fn answer_diff_policy_revisions(
        &self,
        request: Request<pb::DiffPolicyRevisionsRequest>,
    ) -> Result<Response<pb::PolicyDiff>, Status> {
        caller::admin(&request)?;
        let pb::DiffPolicyRevisionsRequest { name, from, to } = request.into_inner();
        let to = match to.as_str() {
            "" => RevisionName::Latest,
            to => convert::revision_name("to", to)?,
        };
        let from = match from.as_str() {
            "" => None,
            from => Some(convert::revision_name("from", from)?),
        };
        let history = self.history(&name).await?;
        let to = history::find(&history, &to).map_err(status)?;
        let from = match from {
            Some(from) => history::find(&history, &from),
            None => before(&history, to),
        };
        Ok(Response::new(convert::diff(from.map_err(status)?, to)))
    }

    pub(super) async fn answer_rollback_policy(
        &self,
        request: Request<pb::RollbackPolicyRequest>,
    ) -> Result<Response<pb::Policy>, Status> {
        let asked = asked(&request, &request.get_ref().request_id, request.get_ref().validate_only)?;
        let pb::RollbackPolicyRequest { name, revision, etag, request_id: _, validate_only: _, reason } =
            request.into_inner();
        let asked = because(asked, &reason)?;
        let id = request::policy(self.tenant, "name", &name)?;
        let to = convert::revision_name("revision", &revision)?;
        let done = self.commands.roll_back_policy(&asked, id, etag, &to).await.map_err(status)?;
        let known = done.state.known().ok_or(policy::Error::Unknown).map_err(status)?;
        Ok(stamped(convert::known(self.tenant, id, known), done.position))
    }

    async fn history(&self, name: &str) -> Result<Vec<Revision>, Status> {
        let id = request::policy(self.tenant, "name", name)?;
        self.queries.history(self.tenant, id).await.map_err(status)
    }
}

/// The revision before another.
fn before<'a>(history: &'a [Revision], to: &Revision) -> Result<&'a Revision, Fault> {
    let before = history.iter().rev().find(|revision| revision.number < to.number);
    before.ok_or_else(|| Fault::new(ErrorCode::RevisionUnknown, "there is no revision before the first"))
}
