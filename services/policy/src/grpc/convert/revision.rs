//! Revisions of policies.

use std::collections::BTreeSet;

use muster_errors::Fault;
use muster_proto::convert::timestamp;
use muster_proto::policy::v1 as pb;
use muster_runtime::request::{self, Page};

use crate::domain::Origin;
use crate::domain::policy::Content;
use crate::history::{Revision, RevisionName, hex};

/// The revision that a field names.
pub(in crate::grpc) fn revision_name(field: &str, text: &str) -> Result<RevisionName, Fault> {
    RevisionName::parse(text).map_err(|expected| Fault::invalid_field(field, expected))
}

/// A revision as the contract writes it.
pub(in crate::grpc) fn revision(revision: &Revision) -> pb::PolicyRevision {
    let Revision { number, id, profile: _, content, rolled_back_to, origin, position } = revision;
    let Content { display_name, settings, on_unassign } = content;
    let Origin { actor, reason, request: _, at } = origin;
    pb::PolicyRevision {
        revision: *number,
        revision_id: hex(id),
        display_name: display_name.clone(),
        settings: crate::wire::to_settings(settings),
        on_unassign: pb::OnUnassign::from(*on_unassign).into(),
        actor: actor.clone(),
        reason: reason.clone(),
        create_time: Some(timestamp(*at)),
        rolled_back_to: rolled_back_to.unwrap_or(0),
        position: *position,
    }
}

/// What differs between two revisions.
pub(in crate::grpc) fn diff(from: &Revision, to: &Revision) -> pb::PolicyDiff {
    let (before, after) = (&from.content.settings, &to.content.settings);
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differs = ids.into_iter().filter(|id| before.get(*id) != after.get(*id));
    let settings = differs.map(|id| pb::SettingDiff {
        id: id.to_string(),
        before: before.get(id).cloned().map(Into::into),
        after: after.get(id).cloned().map(Into::into),
    });
    pb::PolicyDiff { from: Some(revision(from)), to: Some(revision(to)), settings: settings.collect() }
}

/// Which page of the revisions: they are marked by their number.
pub(in crate::grpc) fn revision_page(page_size: i32, page_token: &str) -> Result<Page<u64>, Fault> {
    request::page(page_size, page_token, |bytes| bytes.try_into().ok().map(u64::from_be_bytes))
}

pub(in crate::grpc) fn revision_page_token(next: Option<u64>) -> String {
    request::page_token(next.map(u64::to_be_bytes))
}
