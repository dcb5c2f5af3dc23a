//! Random histories.

use std::collections::BTreeSet;

use muster_eventlog::Envelope;
use proptest::prelude::*;

use super::history::{Fact, logs};

/// Makes a random history one that can happen: each policy is created once and first, deleted while it is there and brought
/// back while it is not; each waiver is granted once and ends once.
pub(super) fn possible(facts: Vec<Fact>) -> Vec<Fact> {
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let (mut granted, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let keep = |fact: &Fact| match fact {
        Fact::Created(n, _) => there.insert(*n),
        Fact::Revised(n, _) => there.contains(n) && !gone.contains(n),
        Fact::Deleted(n) => there.contains(n) && gone.insert(*n),
        Fact::Undeleted(n) => gone.remove(n),
        Fact::Assigned(n, ..) | Fact::Preferred(n, ..) | Fact::Unassigned(n, _) => there.contains(n),
        Fact::Granted(n, ..) => granted.insert(*n),
        Fact::Ended(n, _) => granted.contains(n) && ended.insert(*n),
        Fact::Onboarded(_)
        | Fact::Trusted(_)
        | Fact::ManagedElsewhere(_)
        | Fact::Authority(..)
        | Fact::Refused(_)
        | Fact::Offboarding(..)
        | Fact::Removed(_)
        | Fact::Merged(_)
        | Fact::Suspected(_)
        | Fact::Resolved(_)
        | Fact::Defined(_)
        | Fact::Joined(..)
        | Fact::Left(..)
        | Fact::Surveyed(..)
        | Fact::Rules(_)
        | Fact::CheckIns(_)
        | Fact::SyncAsked(_) => true,
    };
    facts.into_iter().filter(keep).collect()
}

pub(super) fn any_fact() -> impl Strategy<Value = Fact> {
    let ordinals = || prop::collection::vec(0..4_u32, 1..4);
    prop_oneof![
        3 => (0..4_u8).prop_map(Fact::Onboarded),
        3 => (0..4_u8).prop_map(Fact::Trusted),
        1 => (0..4_u8).prop_map(Fact::ManagedElsewhere),
        2 => (0..4_u8, any::<bool>()).prop_map(|(n, here)| Fact::Authority(n, here)),
        1 => (0..4_u8).prop_map(Fact::Refused),
        1 => (0..4_u8, any::<bool>()).prop_map(|(n, done)| Fact::Offboarding(n, done)),
        1 => (0..4_u8).prop_map(Fact::Removed),
        1 => (0..4_u8).prop_map(Fact::Merged),
        1 => (0..4_u8).prop_map(Fact::Suspected),
        1 => (0..4_u8).prop_map(Fact::Resolved),
        1 => (0..3_u8).prop_map(Fact::Defined),
        4 => (0..3_u8, ordinals()).prop_map(|(n, o)| Fact::Joined(n, o)),
        2 => (0..3_u8, ordinals()).prop_map(|(n, o)| Fact::Left(n, o)),
        4 => (0..3_u8, 0..4_u8).prop_map(|(n, v)| Fact::Created(n, v)),
        2 => (0..3_u8, 0..4_u8).prop_map(|(n, v)| Fact::Revised(n, v)),
        1 => (0..3_u8).prop_map(Fact::Deleted),
        1 => (0..3_u8).prop_map(Fact::Undeleted),
        6 => (0..3_u8, 0..3_u8, prop::bool::weighted(0.2)).prop_map(|(p, g, x)| Fact::Assigned(p, g, x)),
        2 => (0..3_u8, 0..3_u8).prop_map(|(p, g)| Fact::Unassigned(p, g)),
        2 => (0..3_u8, 0..3_u8, 0..3_u8).prop_map(|(p, g, n)| Fact::Preferred(p, g, n)),
        2 => (0..4_u8, 0..4_u8).prop_map(|(n, what)| Fact::Surveyed(n, what)),
        1 => any::<bool>().prop_map(Fact::Rules),
        3 => (0..3_u8, 0..4_u8, 0..7_u8).prop_map(|(w, from, to)| Fact::Granted(w, from, to)),
        1 => (0..3_u8, any::<bool>()).prop_map(|(w, expired)| Fact::Ended(w, expired)),
        1 => any::<u8>().prop_map(Fact::CheckIns),
        1 => ordinals().prop_map(Fact::SyncAsked),
    ]
}

pub(super) fn any_history() -> impl Strategy<Value = [Vec<Envelope>; 3]> {
    prop::collection::vec(any_fact(), 0..60).prop_map(|facts| logs(&possible(facts)))
}
