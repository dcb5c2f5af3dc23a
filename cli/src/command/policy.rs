//! `muster policy`.

mod collisions;
mod revisions;
mod tie;

use std::path::PathBuf;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::policy::v1::{
    CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest, ListPoliciesRequest, UpdatePolicyRequest,
};
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::{Page, Read, Write};
use crate::manifest;
use crate::output::Data;
use crate::view;

pub(in crate::command) use revisions::made;

/// Policies and their assignments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a policy from a file
    Create {
        /// The policy file (apiVersion: muster.io/v1, kind: Policy), or - for standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Why, for those who read the history
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Replace a policy's name and settings from a file: a new revision
    Update {
        /// The policy's id or name
        policy: String,
        /// The policy file, or - for standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Etag the policy must still have
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
        /// Why, for those who read the history
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// List policies by name
    List {
        /// Also those that were deleted
        #[arg(long)]
        show_deleted: bool,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Show one policy
    #[command(visible_alias = "describe")]
    Get {
        /// The policy's id or name
        policy: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Delete a policy: it reaches no device any more, and can be brought back
    Delete {
        /// The policy's id or name
        policy: String,
        /// Etag the policy must still have
        #[arg(long, default_value = "", hide_default_value = true)]
        etag: String,
        /// Why, for those who read the history
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Bring a deleted policy back as it was, with its assignments
    Undelete(revisions::Undelete),
    /// List a policy's revisions, the newest first: who changed it, when and why
    History {
        /// The policy's id or name; it may be deleted
        policy: String,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Compare two revisions of a policy
    Diff(revisions::Diff),
    /// Make a new revision with the settings of an earlier one
    Rollback(revisions::Rollback),
    /// Assign a policy to a group
    Assign(tie::Assign),
    /// Take an assignment back
    Unassign(tie::Unassign),
    /// List a policy's assignments
    Assignments {
        /// The policy's id or name
        policy: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// List assignments that want different values of a setting, with the number of devices where they do
    Collisions {
        /// The policy's id or name [default: all policies]
        policy: Option<String>,
        /// How
        #[command(flatten)]
        how: Read,
    },
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Create { file, reason, how: Write { dry_run, target, output } } => {
            let policy = manifest::read_policy(&file)?;
            let api = Api::connect(&target)?;
            let request = CreatePolicyRequest {
                parent: api.parent(),
                policy: Some(policy),
                request_id: request_id(),
                validate_only: dry_run,
                reason,
            };
            let policy = api.call(api.policies().create_policy(once(request))).await?;
            Data::one(view::policy(&policy), view::POLICY).print(output.format)?;
            if !dry_run {
                collisions::tell(&api, &policy.name).await;
            }
            Ok(())
        }
        Command::Update { policy, file, etag, reason, how: Write { dry_run, target, output } } => {
            let mut wanted = manifest::read_policy(&file)?;
            let api = Api::connect(&target)?;
            wanted.name = api.policy(&policy).await?;
            wanted.etag = etag;
            let request = UpdatePolicyRequest {
                policy: Some(wanted),
                request_id: request_id(),
                validate_only: dry_run,
                reason,
            };
            let policy = api.call(api.policies().update_policy(once(request))).await?;
            Data::one(view::policy(&policy), view::POLICY).print(output.format)?;
            if !dry_run {
                collisions::tell(&api, &policy.name).await;
            }
            Ok(())
        }
        Command::List {
            show_deleted,
            page: Page { page_size, page_token },
            how: Read { target, output },
        } => {
            let api = Api::connect(&target)?;
            let request = ListPoliciesRequest { parent: api.parent(), page_size, page_token, show_deleted };
            let reply = api.call(api.policies().list_policies(request)).await?;
            let items = reply.policies.iter().map(view::policy).collect();
            let columns = if show_deleted { view::policy::WITH_DELETED } else { view::POLICY };
            Data::list("policies", items, reply.next_page_token, columns).print(output.format)
        }
        Command::Get { policy, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.policy(&policy).await?;
            let policy = api.call(api.policies().get_policy(GetPolicyRequest { name })).await?;
            Data::one(view::policy(&policy), view::policy::DETAIL).print(output.format)
        }
        Command::Delete { policy, etag, reason, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.policy(&policy).await?;
            let request =
                DeletePolicyRequest { name, etag, request_id: request_id(), validate_only: dry_run, reason };
            let gone = json!({"name": request.name});
            api.call(api.policies().delete_policy(once(request))).await?;
            Data::one(gone, &[("deleted", "/name")]).print(output.format)
        }
        Command::Undelete(undelete) => revisions::undelete(undelete).await,
        Command::History { policy, page, how } => revisions::history(&policy, page, how).await,
        Command::Diff(diff) => revisions::diff(diff).await,
        Command::Rollback(rollback) => revisions::rollback(rollback).await,
        Command::Assign(assignment) => tie::assign(assignment).await,
        Command::Unassign(assignment) => tie::unassign(assignment).await,
        Command::Assignments { policy, how } => tie::list(&policy, how).await,
        Command::Collisions { policy, how } => collisions::list(policy.as_deref(), how).await,
    }
}
