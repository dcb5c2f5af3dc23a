//! What happened to a group.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

/// A fact. Its moment stands in the envelope.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A group was defined.
    Defined {
        /// Name for people.
        display_name: String,
        /// The rule of a dynamic group; none for a static one.
        rule: Option<Box<str>>,
        /// When.
        at: Timestamp,
    },
    /// Devices came in or left: never one that was already in or out.
    MembershipChanged {
        /// Ordinals of those that came in.
        added: RoaringBitmap,
        /// Ordinals of those that left.
        removed: RoaringBitmap,
        /// When.
        at: Timestamp,
    },
    /// The rule of a dynamic group changed.
    RuleChanged {
        /// The rule from now on.
        rule: Box<str>,
    },
    /// The group was deleted, after its last members had left.
    Deleted,
}
