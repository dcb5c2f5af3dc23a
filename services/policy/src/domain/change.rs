//! Facts of several aggregates that stand or fall together.

use muster_types::{GroupId, PolicyId, WaiverId};

use super::{assignment, policy, waiver};

/// A fact that changes would make of policies, assignments or waivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Of a policy.
    Policy(PolicyId, policy::Event),
    /// Of a policy's tie to a group.
    Assignment(PolicyId, GroupId, assignment::Event),
    /// Of a waiver.
    Waiver(WaiverId, waiver::Event),
}
