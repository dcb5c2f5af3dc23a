//! Why a command on a group is refused.

use muster_types::GroupId;

use crate::domain::rule::RuleError;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such group.
    #[error("no such group")]
    Unknown,
    /// The name is no name.
    #[error(
        "a group's name has 1 to 256 characters, none of them a control character, and no blanks around it"
    )]
    NameInvalid,
    /// Another group of the tenant has this name.
    #[error("another group has this name")]
    NameTaken {
        /// The other group.
        by: GroupId,
    },
    /// The rule does not hold.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The rule reads the members of a group that has a rule itself.
    #[error("memberOf reads static groups only, and {group} is a dynamic one")]
    Nested {
        /// The group it names.
        group: GroupId,
    },
    /// The rule reads the members of a group that is not there.
    #[error("the rule names a group that is not there: {group}")]
    SourceUnknown {
        /// What it names.
        group: Box<str>,
    },
    /// There are as many groups of this kind as there may be.
    #[error("the tenant has {limit} groups of this kind, the limit")]
    Limit {
        /// How many there may be.
        limit: usize,
    },
    /// Members of a dynamic group were to be named.
    #[error("the members of a dynamic group follow from its rule")]
    Dynamic,
    /// A static group was to get a rule.
    #[error("a static group has no rule")]
    Static,
    /// The request that defined the group comes again with other content.
    #[error("this request id defined the group {display_name:?}")]
    RequestReused {
        /// Name of the group that the first request defined.
        display_name: String,
    },
    /// A device is to come in and to leave at once.
    #[error("a device cannot be added and removed by one change")]
    Contradiction {
        /// Its ordinal.
        ordinal: u32,
    },
    /// The group changed since it was read.
    #[error("the group moved on: expected revision {expected}, found {found}")]
    Moved {
        /// What the caller had read.
        expected: u64,
        /// What it is now.
        found: u64,
    },
}
