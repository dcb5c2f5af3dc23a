//! What happened to an assignment.

use muster_types::{GroupId, PolicyId, Timestamp};

/// What an assignment does with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// Its devices get the policy.
    Include,
    /// Its devices do not get the policy, whatever else includes them.
    Exclude,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The policy is tied to the group.
    Assigned {
        /// The policy.
        policy: PolicyId,
        /// The group.
        group: GroupId,
        /// In or out.
        intent: Intent,
        /// When.
        at: Timestamp,
    },
    /// The tie is taken back.
    Unassigned {
        /// The policy.
        policy: PolicyId,
        /// The group.
        group: GroupId,
    },
}
