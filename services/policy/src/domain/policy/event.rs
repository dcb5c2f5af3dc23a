//! What happened to a policy.

use std::collections::BTreeMap;

use muster_types::{RequestId, SettingId, SettingValue, Timestamp};

/// What becomes of a policy's settings on a device that it no longer reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnassign {
    /// They are taken back.
    #[default]
    Revert,
    /// They stay as they are.
    Keep,
}

/// A fact. The request and the moment stand in the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was made, as revision 1.
    Created {
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
        /// When.
        at: Timestamp,
    },
    /// It has a new revision.
    Revised {
        /// The new revision's number.
        revision: u64,
        /// Name from now on.
        display_name: String,
        /// What it sets from now on, whole.
        settings: BTreeMap<SettingId, SettingValue>,
        /// What becomes of its settings, from now on, on a device that it no longer reaches.
        on_unassign: OnUnassign,
        /// The request.
        request: RequestId,
        /// When.
        at: Timestamp,
    },
    /// It is gone, with its assignments.
    Deleted {
        /// The request.
        request: RequestId,
    },
}
