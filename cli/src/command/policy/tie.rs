//! `muster policy assign`, `unassign`, `assignments`.

use muster_errors::Fault;
use muster_proto::policy::v1::{
    AssignPolicyRequest, AssignmentIntent, ListAssignmentsRequest, UnassignPolicyRequest,
};
use serde_json::json;

use super::collisions;
use crate::connect::{Api, once, request_id};
use crate::flags::{Read, Write};
use crate::output::{Data, note};
use crate::view;

/// An assignment to make.
#[derive(Debug, clap::Args)]
pub struct Assign {
    /// The policy's id or name
    policy: String,
    /// The group's id or name
    #[arg(long)]
    group: String,
    /// Keep the policy away from the group's devices instead, whatever else includes them
    #[arg(long)]
    exclude: bool,
    /// Decides conflicts: of the values that policies want, those of the least number win; 1 to 1000
    #[arg(long, conflicts_with = "exclude", value_parser = clap::value_parser!(u32).range(1..=1000))]
    priority: Option<u32>,
    /// An assignment filter; it is kept and has no effect on this channel
    #[arg(long, default_value = "")]
    filter: String,
    /// How
    #[command(flatten)]
    how: Write,
}

/// An assignment to take back.
#[derive(Debug, clap::Args)]
pub struct Unassign {
    /// The policy's id or name
    policy: String,
    /// The group's id or name
    #[arg(long)]
    group: String,
    /// How
    #[command(flatten)]
    how: Write,
}

pub(super) async fn assign(assignment: Assign) -> Result<(), Fault> {
    let Assign { policy, group, exclude, priority, filter, how: Write { dry_run, target, output } } =
        assignment;
    let api = Api::connect(&target)?;
    let intent = if exclude { AssignmentIntent::Exclude } else { AssignmentIntent::Include };
    let policy = api.policy(&policy).await?;
    let request = AssignPolicyRequest {
        policy: policy.clone(),
        group: api.group(&group).await?,
        intent: intent.into(),
        request_id: request_id(),
        validate_only: dry_run,
        priority,
        filter,
    };
    let assignment = api.call(api.policies().assign_policy(once(request))).await?;
    Data::one(view::assignment(&assignment), view::ASSIGNMENT).print(output.format)?;
    assignment.warnings.iter().for_each(|warning| note(&format!("note: {warning}")));
    if !dry_run {
        collisions::tell(&api, &policy).await;
    }
    Ok(())
}

pub(super) async fn unassign(assignment: Unassign) -> Result<(), Fault> {
    let Unassign { policy, group, how: Write { dry_run, target, output } } = assignment;
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

pub(super) async fn list(policy: &str, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let request = ListAssignmentsRequest { policy: api.policy(policy).await? };
    let reply = api.call(api.policies().list_assignments(request)).await?;
    let items = reply.assignments.iter().map(view::assignment).collect();
    Data::list("assignments", items, String::new(), view::ASSIGNMENT).print(output.format)
}
