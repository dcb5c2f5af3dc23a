//! What happened to a policy.

use std::collections::BTreeMap;

use muster_types::{Canonical, Digest, SettingId, SettingValue, setting};

use crate::domain::Origin;

/// What becomes of a policy's settings on a device that it no longer reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnassign {
    /// They are taken back.
    #[default]
    Revert,
    /// They stay as they are.
    Keep,
}

/// What a revision says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Name for people.
    pub display_name: String,
    /// What it sets, whole.
    pub settings: BTreeMap<SettingId, SettingValue>,
    /// What becomes of its settings on a device that it no longer reaches.
    pub on_unassign: OnUnassign,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was made, as revision 1.
    Created {
        /// Catalogue profile of its settings, for ever.
        profile: String,
        /// What revision 1 says.
        content: Content,
        /// Where it comes from.
        origin: Origin,
    },
    /// It has a new revision.
    Revised {
        /// The new revision's number.
        revision: u64,
        /// What it says from now on.
        content: Content,
        /// The earlier revision whose settings these are, if it was rolled back.
        rolled_back_to: Option<u64>,
        /// Where it comes from.
        origin: Origin,
    },
    /// It reaches no device any more; its assignments wait.
    Deleted {
        /// Where it comes from.
        origin: Origin,
    },
    /// It is back as it was, with its assignments.
    Undeleted {
        /// Where it comes from.
        origin: Origin,
    },
}

/// Names a revision by what it does to devices: profile, settings and what becomes of them. Its name for people is not in
/// it, so that a rename keeps it.
#[must_use]
pub fn revision_id(
    profile: &str,
    settings: &BTreeMap<SettingId, SettingValue>,
    on_unassign: OnUnassign,
) -> Digest {
    let on_unassign = match on_unassign {
        OnUnassign::Revert => 1,
        OnUnassign::Keep => 2,
    };
    let mut canonical = Canonical::new(b"muster.policy.revision.v1");
    canonical.bytes(profile.as_bytes());
    canonical.put(&[on_unassign]);
    canonical.put(&setting::etag(settings));
    canonical.digest()
}
