//! `muster policy`.

use std::path::PathBuf;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::policy::v1::{
    AssignPolicyRequest, AssignmentIntent, CreatePolicyRequest, DeletePolicyRequest, GetPolicyRequest,
    ListAssignmentsRequest, ListPoliciesRequest, UnassignPolicyRequest, UpdatePolicyRequest,
};
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Page, Target};
use crate::manifest;
use crate::output::Data;
use crate::view;

/// Policies and their assignments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a policy from a file
    Create {
        /// The policy file (apiVersion: muster.io/v1, kind: Policy), or - for standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Replace a policy's name and settings from a file: a new revision
    Update {
        /// The policy's id or name
        policy: String,
        /// The policy file, or - for standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Etag the policy must still have
        #[arg(long, default_value = "")]
        etag: String,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List policies by name
    List {
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Show one policy
    #[command(visible_alias = "describe")]
    Get {
        /// The policy's id or name
        policy: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Delete a policy with its assignments
    Delete {
        /// The policy's id or name
        policy: String,
        /// Etag the policy must still have
        #[arg(long, default_value = "")]
        etag: String,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Assign a policy to a group
    Assign {
        /// The policy's id or name
        policy: String,
        /// The group's id or name
        #[arg(long)]
        group: String,
        /// Keep the policy away from the group's devices instead, whatever else includes them
        #[arg(long)]
        exclude: bool,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Take an assignment back
    Unassign {
        /// The policy's id or name
        policy: String,
        /// The group's id or name
        #[arg(long)]
        group: String,
        /// Only check; change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// List a policy's assignments
    Assignments {
        /// The policy's id or name
        policy: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// Columns of a policy shown alone.
const DETAIL: &[(&str, &str)] = &[
    ("policy", "/id"),
    ("name", "/display_name"),
    ("profile", "/profile"),
    ("revision", "/revision"),
    ("created", "/create_time"),
    ("updated", "/update_time"),
    ("etag", "/etag"),
    ("settings", "/settings"),
];

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Create { file, dry_run, target, output } => {
            let policy = manifest::read_policy(&file)?;
            let api = Api::connect(&target)?;
            let request = CreatePolicyRequest {
                parent: api.parent(),
                policy: Some(policy),
                request_id: request_id(),
                validate_only: dry_run,
                ..Default::default()
            };
            let policy = api.call(api.policies().create_policy(once(request))).await?;
            Data::one(view::policy(&policy), view::POLICY).print(output.format)
        }
        Command::Update { policy, file, etag, dry_run, target, output } => {
            let mut wanted = manifest::read_policy(&file)?;
            let api = Api::connect(&target)?;
            wanted.name = api.policy(&policy).await?;
            wanted.etag = etag;
            let request = UpdatePolicyRequest {
                policy: Some(wanted),
                request_id: request_id(),
                validate_only: dry_run,
                ..Default::default()
            };
            let policy = api.call(api.policies().update_policy(once(request))).await?;
            Data::one(view::policy(&policy), view::POLICY).print(output.format)
        }
        Command::List { page, target, output } => {
            let api = Api::connect(&target)?;
            let request = ListPoliciesRequest {
                parent: api.parent(),
                page_size: page.page_size,
                page_token: page.page_token,
                ..Default::default()
            };
            let reply = api.call(api.policies().list_policies(request)).await?;
            let items = reply.policies.iter().map(view::policy).collect();
            Data::list("policies", items, reply.next_page_token, view::POLICY).print(output.format)
        }
        Command::Get { policy, target, output } => {
            let api = Api::connect(&target)?;
            let name = api.policy(&policy).await?;
            let policy = api.call(api.policies().get_policy(GetPolicyRequest { name })).await?;
            Data::one(view::policy(&policy), DETAIL).print(output.format)
        }
        Command::Delete { policy, etag, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let name = api.policy(&policy).await?;
            let request = DeletePolicyRequest {
                name,
                etag,
                request_id: request_id(),
                validate_only: dry_run,
                ..Default::default()
            };
            let gone = json!({"name": request.name});
            api.call(api.policies().delete_policy(once(request))).await?;
            Data::one(gone, &[("deleted", "/name")]).print(output.format)
        }
        Command::Assign { policy, group, exclude, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let intent = if exclude { AssignmentIntent::Exclude } else { AssignmentIntent::Include };
            let request = AssignPolicyRequest {
                policy: api.policy(&policy).await?,
                group: api.group(&group).await?,
                intent: intent.into(),
                request_id: request_id(),
                validate_only: dry_run,
                ..Default::default()
            };
            let assignment = api.call(api.policies().assign_policy(once(request))).await?;
            Data::one(view::assignment(&assignment), view::ASSIGNMENT).print(output.format)
        }
        Command::Unassign { policy, group, dry_run, target, output } => {
            let api = Api::connect(&target)?;
            let request = UnassignPolicyRequest {
                policy: api.policy(&policy).await?,
                group: api.group(&group).await?,
                request_id: request_id(),
                validate_only: dry_run,
            };
            let gone = json!({"policy": request.policy, "group": request.group});
            api.call(api.policies().unassign_policy(once(request))).await?;
            Data::one(gone, &[("unassigned", "/policy"), ("from", "/group")]).print(output.format)
        }
        Command::Assignments { policy, target, output } => {
            let api = Api::connect(&target)?;
            let request = ListAssignmentsRequest { policy: api.policy(&policy).await? };
            let reply = api.call(api.policies().list_assignments(request)).await?;
            let items = reply.assignments.iter().map(view::assignment).collect();
            Data::list("assignments", items, String::new(), view::ASSIGNMENT).print(output.format)
        }
    }
}
