//! What may be asked of a group.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

use super::Error;

/// Longest name of a group for people, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 256;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Define a group.
    Define {
        /// Name for people.
        display_name: String,
        /// The rule of a dynamic group; none for a static one.
        rule: Option<Box<str>>,
        /// Why other groups do not let it be defined, as far as they were looked up.
        obstacle: Option<Error>,
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
    /// Change the rule.
    ChangeRule {
        /// The rule from now on.
        rule: Box<str>,
        /// Why other groups do not let it be so, as far as they were looked up.
        obstacle: Option<Error>,
        /// The revision the group must still have, unless there is nothing to change.
        expected: Option<u64>,
    },
    /// Take over what the rule says.
    Resolve {
        /// The rule that said it: once the group has another, that counts no longer.
        rule: Box<str>,
        /// What it said.
        verdict: Verdict,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Let devices out that are there no longer, whatever the kind of the group.
    Leave {
        /// Their ordinals.
        gone: RoaringBitmap,
        /// The moment of the command.
        now: Timestamp,
    },
    /// Delete the group.
    Delete {
        /// The revision the group must still have.
        expected: Option<u64>,
        /// The moment of the command.
        now: Timestamp,
    },
}

/// What a rule says of devices, by their ordinals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The devices that were looked at; none means all.
    pub within: Option<RoaringBitmap>,
    /// Those that are in.
    pub inside: RoaringBitmap,
    /// Those of which it cannot be known: they stay what they are. All others are out.
    pub unknown: RoaringBitmap,
}
