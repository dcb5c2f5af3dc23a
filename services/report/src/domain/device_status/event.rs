//! What happened to a device's status.

use muster_types::{Digest, SettingId, Timestamp};

use super::Statement;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device said something it had not said before.
    Reported {
        /// The status, whole.
        said: Statement,
    },
    /// Something on the device must be working against the policy.
    DriftSuspected {
        /// The setting that was put back again and again.
        setting: SettingId,
        /// How often.
        corrections: u32,
        /// Etag of the policy in force.
        policy_etag: Digest,
    },
    /// Nothing was heard of the device for longer than the tenant's threshold.
    WentStale {
        /// When it was last heard of.
        last_seen: Timestamp,
    },
    /// The device, which was stale, was heard of again.
    Returned {
        /// When.
        seen: Timestamp,
    },
}
