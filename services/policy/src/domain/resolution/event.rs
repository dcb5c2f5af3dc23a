//! What the log tells.

use muster_types::{Digest, Positions, Timestamp};
use roaring::RoaringBitmap;

use super::Content;

/// What devices should have changed. A device is named at most once.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Positions of the logs that were resolved; they never go down in a stream.
    pub positions: Positions,
    /// What devices came to, each resolution once.
    pub resolved: Vec<Resolved>,
    /// Devices that should have nothing any more.
    pub none: RoaringBitmap,
}

/// Devices that came to a resolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Names the resolution.
    pub id: Digest,
    /// Their ordinals.
    pub devices: RoaringBitmap,
    /// When the earliest change was decided that led to it.
    pub cause: Timestamp,
    /// What it says; none when it was told before.
    pub content: Option<Content>,
}
