//! What happened to a group.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

/// A fact. Its moment stands in the envelope.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A static group was defined.
    Defined {
        /// Name for people.
        display_name: String,
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
}
