//! What may be asked of a group.

use muster_types::{GroupId, Timestamp};
use roaring::RoaringBitmap;

/// Longest name of a group for people, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 256;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Define a static group.
    Define {
        /// Name for people.
        display_name: String,
        /// Another group of the tenant that has this name, as far as it was looked up.
        namesake: Option<GroupId>,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Let devices in and out, by their ordinals, as one change.
    ModifyMembers {
        /// Who shall be in.
        add: RoaringBitmap,
        /// Who shall not.
        remove: RoaringBitmap,
        /// The revision the group must still have, unless there is nothing to change.
        expected: Option<u64>,
        /// The moment of the command.
        now: Timestamp,
    },
}
