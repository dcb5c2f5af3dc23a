//! What may be asked of a policy.

use std::collections::BTreeMap;

use muster_types::{RequestId, SettingId, SettingValue, Timestamp};

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
