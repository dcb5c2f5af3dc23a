//! Many changes at once: proposed on drafts of what they touch, then appended together or not at all.
//!
//! A proposal is also what a plan is made of: what would be decided is decided by the same rules.

mod apply;
mod draft;
mod propose;

use muster_errors::Fault;
use muster_types::{Aggregate, GroupId, PolicyId, RequestId, ResourceName, StreamId, TenantId, WaiverId};

use super::{GivenContent, policy_id, waiver_id};
use crate::domain::assignment::{self, Tie};
use crate::domain::change::Fact;
use crate::domain::waiver::Grant;

use draft::Drafts;

/// Most changes made at once.
pub const CHANGES_MAX: usize = 500;

/// One of many changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Make a policy.
    CreatePolicy {
        /// The request its id is derived from.
        request: RequestId,
        /// Catalogue profile of its settings.
        profile: String,
        /// What it shall say.
        content: GivenContent,
    },
    /// Replace a policy's name and settings.
    UpdatePolicy {
        /// Which.
        id: PolicyId,
        /// Etag it must still have; empty means any.
        etag: String,
        /// What it shall say.
        content: GivenContent,
    },
    /// Delete a policy.
    DeletePolicy {
        /// Which.
        id: PolicyId,
        /// Etag it must still have; empty means any.
        etag: String,
    },
    /// Bring a policy back.
    UndeletePolicy {
        /// Which.
        id: PolicyId,
    },
    /// Tie a policy to a group.
    AssignPolicy {
        /// The policy.
        policy: PolicyId,
        /// The group.
        group: GroupId,
        /// How.
        tie: Tie,
    },
    /// Take a tie back.
    UnassignPolicy {
        /// The policy.
        policy: PolicyId,
        /// The group.
        group: GroupId,
    },
    /// Exempt devices.
    CreateWaiver {
        /// The request its id is derived from.
        request: RequestId,
        /// What it says.
        grant: Grant,
        /// Why.
        reason: String,
    },
    /// End a waiver.
    RevokeWaiver {
        /// Which.
        id: WaiverId,
    },
}

impl Change {
    /// The field of the contract's `Change` that it stands in.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::CreatePolicy { .. } => "create_policy",
            Self::UpdatePolicy { .. } => "update_policy",
            Self::DeletePolicy { .. } => "delete_policy",
            Self::UndeletePolicy { .. } => "undelete_policy",
            Self::AssignPolicy { .. } => "assign_policy",
            Self::UnassignPolicy { .. } => "unassign_policy",
            Self::CreateWaiver { .. } => "create_waiver",
            Self::RevokeWaiver { .. } => "revoke_waiver",
        }
    }

    /// What it makes or changes; all ids are known beforehand.
    fn name(&self, tenant: TenantId) -> ResourceName {
        match self {
            Self::CreatePolicy { request, .. } => ResourceName::Policy(tenant, policy_id(tenant, *request)),
            Self::UpdatePolicy { id, .. } | Self::DeletePolicy { id, .. } | Self::UndeletePolicy { id } => {
                ResourceName::Policy(tenant, *id)
            }
            Self::AssignPolicy { policy, group, .. } | Self::UnassignPolicy { policy, group } => {
                ResourceName::Assignment(tenant, *policy, *group)
            }
            Self::CreateWaiver { request, .. } => ResourceName::Waiver(tenant, waiver_id(tenant, *request)),
            Self::RevokeWaiver { id } => ResourceName::Waiver(tenant, *id),
        }
    }

    /// The stream that it writes to.
    fn stream(&self, tenant: TenantId) -> StreamId {
        let (aggregate, id) = match self {
            Self::CreatePolicy { request, .. } => (Aggregate::Policy, policy_id(tenant, *request).uuid()),
            Self::UpdatePolicy { id, .. } | Self::DeletePolicy { id, .. } | Self::UndeletePolicy { id } => {
                (Aggregate::Policy, id.uuid())
            }
            Self::AssignPolicy { policy, group, .. } | Self::UnassignPolicy { policy, group } => {
                (Aggregate::Assignment, assignment::stream_id(*policy, *group))
            }
            Self::CreateWaiver { request, .. } => (Aggregate::Waiver, waiver_id(tenant, *request).uuid()),
            Self::RevokeWaiver { id } => (Aggregate::Waiver, id.uuid()),
        };
        StreamId::new(tenant, aggregate, id)
    }

    /// A fault as the caller of many changes sees it.
    fn fault(&self, place: usize, fault: impl Into<Fault>) -> Fault {
        fault.into().within(&format!("changes[{place}].{}", self.field()))
    }
}

/// What changes would come to.
#[derive(Debug, Default)]
pub struct Proposed {
    /// What each change makes or changes, in order.
    pub names: Vec<ResourceName>,
    /// This very request made them before.
    pub made_before: bool,
    drafts: Drafts,
}

impl Proposed {
    /// The facts, those of one policy, assignment or waiver in order. None when everything is so already.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        self.drafts.facts()
    }

    /// Policies that are changed, or whose assignments are.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyId> {
        self.drafts.touched_policies()
    }
}

/// What came of changes.
#[derive(Debug)]
pub struct Applied {
    /// What each change made or changed, in order.
    pub names: Vec<ResourceName>,
    /// How many events were appended.
    pub events: usize,
    /// Position of the last of them; none when there was nothing to do.
    pub position: Option<u64>,
    /// Policies that were changed, or whose assignments were.
    pub policies: Vec<PolicyId>,
}
