//! What may be asked of an assignment.

use muster_types::{GroupId, PolicyId, Timestamp};

use super::Tie;

/// A wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Tie the policy to the group.
    Assign {
        /// The policy.
        policy: PolicyId,
        /// The group.
        group: GroupId,
        /// How.
        tie: Tie,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Take the tie back.
    Unassign {
        /// The policy.
        policy: PolicyId,
        /// The group.
        group: GroupId,
    },
}
