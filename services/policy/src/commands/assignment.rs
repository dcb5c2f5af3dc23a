//! Assignments.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::Executed;
use muster_types::{GroupId, PolicyId};

use super::{Asked, Commands};
use crate::domain::assignment::{Assignment, Command, Tie, stream_id};

/// Most assignments of one policy.
pub const ASSIGNMENTS_MAX: usize = 1_000;

impl Commands {
    /// Assigns a policy to a group, or excludes the group.
    ///
    /// # Errors
    /// An unknown policy or group; too many assignments; a tie that cannot be.
    pub async fn assign(
        &self,
        asked: &Asked,
        policy: PolicyId,
        group: GroupId,
        tie: Tie,
    ) -> Result<Executed<Assignment>, Fault> {
        self.see(asked).await?;
        let _turn = self.turn.lock().await;
        self.check_policy(policy).await?;
        self.check_group(policy, group)?;
        let command = Command::Assign { policy, group, tie, now: self.clock.now() };
        let id = stream_id(policy, group);
        self.run(&self.assignments, asked, id, |assignment| assignment.decide(&command)).await
    }

    /// Takes an assignment back.
    ///
    /// # Errors
    /// An unknown policy.
    pub async fn unassign(
        &self,
        asked: &Asked,
        policy: PolicyId,
        group: GroupId,
    ) -> Result<Executed<Assignment>, Fault> {
        let _turn = self.turn.lock().await;
        self.check_policy(policy).await?;
        let command = Command::Unassign { policy, group };
        let id = stream_id(policy, group);
        self.run(&self.assignments, asked, id, |assignment| assignment.decide(&command)).await
    }

    fn check_group(&self, policy: PolicyId, group: GroupId) -> Result<(), Fault> {
        let fleet = self.fleet.read();
        if !fleet.knows_group(group) {
            return Err(group_unknown(group));
        }
        let others = fleet.assignments(policy).filter(|(other, _)| *other != group).count();
        if others >= ASSIGNMENTS_MAX {
            return Err(too_many_assignments(others + 1));
        }
        Ok(())
    }
}

pub(super) fn group_unknown(group: GroupId) -> Fault {
    Fault::new(ErrorCode::GroupUnknown, format!("no such group: {group}"))
}

pub(super) fn too_many_assignments(found: usize) -> Fault {
    Fault::invalid_field("policy", format!("would have {found} assignments, the limit is {ASSIGNMENTS_MAX}"))
}
