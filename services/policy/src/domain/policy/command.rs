//! What may be asked of a policy.

use std::collections::BTreeMap;

use muster_types::{SettingId, SettingValue};

use super::{Content, OnUnassign};
use crate::domain::Origin;

/// A wish that the rules may refuse. Settings were checked against the catalogue before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make the policy.
    Create {
        /// Catalogue profile of its settings.
        profile: String,
        /// What revision 1 says.
        content: Content,
        /// Where it comes from.
        origin: Origin,
    },
    /// Replace name and settings by a new revision.
    Revise {
        /// What it says from now on.
        content: Content,
        /// Etag the policy must still have; empty means any.
        etag: String,
        /// Where it comes from.
        origin: Origin,
    },
    /// Make a new revision with the settings of an earlier one; the name stays.
    RollBack {
        /// Number of the earlier one.
        to: u64,
        /// Its settings.
        settings: BTreeMap<SettingId, SettingValue>,
        /// What became of them on a device that it no longer reached.
        on_unassign: OnUnassign,
        /// Etag the policy must still have; empty means any.
        etag: String,
        /// Where it comes from.
        origin: Origin,
    },
    /// Take it from all devices, so that it can be brought back.
    Delete {
        /// Etag the policy must still have; empty means any.
        etag: String,
        /// Where it comes from.
        origin: Origin,
    },
    /// Bring it back as it was.
    Undelete {
        /// Where it comes from.
        origin: Origin,
    },
}
