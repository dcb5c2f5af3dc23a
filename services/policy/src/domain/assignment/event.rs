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

/// The greatest number of a priority, which is the weakest.
pub const PRIORITY_MAX: u16 = 1_000;

/// Decides conflicts: 1 to [`PRIORITY_MAX`], the least number wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u16);

impl Priority {
    /// A priority; none when the number is out of bounds.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (1..=PRIORITY_MAX).contains(&number).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// How a policy is tied to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// In or out.
    pub intent: Intent,
    /// Decides conflicts; without one the policy loses to any that has one.
    pub priority: Option<Priority>,
    /// An assignment filter, without effect on this channel; empty when there is none.
    pub filter: String,
}

impl Tie {
    /// A tie without priority and filter.
    #[must_use]
    pub const fn plain(intent: Intent) -> Self {
        Self { intent, priority: None, filter: String::new() }
    }
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
        /// How.
        tie: Tie,
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
