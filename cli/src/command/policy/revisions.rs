//! `muster policy history`, `diff`, `rollback`, `undelete`.

use muster_errors::{ErrorCode, Fault};
use muster_proto::policy::v1::{
    DiffPolicyRevisionsRequest, ListPolicyRevisionsRequest, RollbackPolicyRequest, UndeletePolicyRequest,
};

use super::collisions;
use crate::connect::{Api, once, request_id};
use crate::flags::{Page, Read, Write};
use crate::output::{Data, Format, note, print_json, print_yaml};
use crate::view;

/// Revisions to compare.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The policy's id or name
    policy: String,
    /// The revision before: its number, or at least 8 characters of its id [default: the one before --to]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "REVISION")]
    from: String,
    /// The revision after [default: the latest]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "REVISION")]
    to: String,
    /// How
    #[command(flatten)]
    how: Read,
}

/// A revision to go back to.
#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// The policy's id or name
    policy: String,
    /// The revision: its number, or at least 8 characters of its id
    #[arg(long, value_name = "REVISION")]
    to: String,
    /// Why, for those who read the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Etag the policy must still have
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// How
    #[command(flatten)]
    how: Write,
}

/// A policy to bring back.
#[derive(Debug, clap::Args)]
pub struct Undelete {
    /// The policy's id, or the name it had
    policy: String,
    /// Why, for those who read the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// How
    #[command(flatten)]
    how: Write,
}

pub(super) async fn history(policy: &str, page: Page, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let Page { page_size, page_token } = page;
    let request = ListPolicyRevisionsRequest { name: made(&api, policy).await?, page_size, page_token };
    let reply = api.call(api.policies().list_policy_revisions(request)).await?;
    let items = reply.revisions.iter().map(view::policy::revision).collect();
    Data::list("revisions", items, reply.next_page_token, view::policy::REVISION).print(output.format)
}

pub(super) async fn diff(diff: Diff) -> Result<(), Fault> {
    let Diff { policy, from, to, how: Read { target, output } } = diff;
    let api = Api::connect(&target)?;
    let request = DiffPolicyRevisionsRequest { name: made(&api, &policy).await?, from, to };
    let diff = api.call(api.policies().diff_policy_revisions(request)).await?;
    let whole = view::policy::diff(&diff);
    match output.format {
        Format::Json => print_json(&whole),
        Format::Yaml => print_yaml(&whole),
        Format::Table | Format::Name => {
            view::policy::diff_notes(&diff).iter().for_each(|text| note(text));
            let items = whole["settings"].as_array().cloned().unwrap_or_default();
            Data::list("settings", items, String::new(), view::policy::DIFF).print(output.format)
        }
    }
}

pub(super) async fn rollback(rollback: Rollback) -> Result<(), Fault> {
    let Rollback { policy, to, reason, etag, how: Write { dry_run, target, output } } = rollback;
    let api = Api::connect(&target)?;
    let name = api.policy(&policy).await?;
    let request = RollbackPolicyRequest {
        name: name.clone(),
        revision: to,
        etag,
        request_id: request_id(),
        validate_only: dry_run,
        reason,
    };
    let policy = api.call(api.policies().rollback_policy(once(request))).await?;
    Data::one(view::policy(&policy), view::POLICY).print(output.format)?;
    if !dry_run {
        collisions::tell(&api, &name).await;
    }
    Ok(())
}

pub(super) async fn undelete(undelete: Undelete) -> Result<(), Fault> {
    let Undelete { policy, reason, how: Write { dry_run, target, output } } = undelete;
    let api = Api::connect(&target)?;
    let name = api.deleted_policy(&policy).await?;
    let request = UndeletePolicyRequest {
        name: name.clone(),
        request_id: request_id(),
        validate_only: dry_run,
        reason,
    };
    let policy = api.call(api.policies().undelete_policy(once(request))).await?;
    Data::one(view::policy(&policy), view::POLICY).print(output.format)?;
    if !dry_run {
        collisions::tell(&api, &name).await;
    }
    Ok(())
}

/// A policy that is there, or else one that was deleted.
pub(in crate::command) async fn made(api: &Api, policy: &str) -> Result<String, Fault> {
    match api.policy(policy).await {
        Err(fault) if fault.code == ErrorCode::PolicyUnknown => api.deleted_policy(policy).await,
        found => found,
    }
}
