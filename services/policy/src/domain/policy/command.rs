//! What may be asked of a policy.

use std::collections::BTreeMap;

use muster_types::{RequestId, SettingId, SettingValue, Timestamp};

use super::OnUnassign;

/// A wish that the rules may refuse. Settings were checked against the catalogue before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make the policy.
    Create {
        /// Name for people.
        display_name: String,
        /// Catalogue profile of its settings.
        profile: String,
        /// What it sets.
        settings: BTreeMap<SettingId, SettingValue>,
        /// What becomes of its settings on a device that it no longer reaches.
        on_unassign: OnUnassign,
        /// The request.
        request: RequestId,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Replace name and settings by a new revision.
    Revise {
        /// Name from now on.
        display_name: String,
        /// What it sets from now on.
        settings: BTreeMap<SettingId, SettingValue>,
        /// What becomes of its settings, from now on, on a device that it no longer reaches.
        on_unassign: OnUnassign,
        /// Etag the policy must still have; empty means any.
        etag: String,
        /// The request.
        request: RequestId,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Delete it, with its assignments.
    Delete {
        /// Etag the policy must still have; empty means any.
        etag: String,
        /// The request.
        request: RequestId,
    },
}
