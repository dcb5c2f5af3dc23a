//! The platform rules, applied to a device.

use super::{Traits, Verdict};
use crate::domain::scope::RulesAsOf;

/// Why the platform rules refuse a device; `None` when they do not.
pub(super) fn refusal(_traits: &Traits, _rules: RulesAsOf) -> Option<Verdict> {
    None
}

/// The numbers of those updates that any platform rule names, sorted.
pub(super) fn named_updates(_installed: &[String]) -> Box<[u32]> {
    [].into()
}
