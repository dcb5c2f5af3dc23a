//! What is to be done, and what matching goes by.

use muster_types::HardwareKeyKind;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn device(id: u128) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(id))
}

fn synthetic(id: u128) -> Candidate {
    Candidate { device: device(id), full: false }
}

fn full(id: u128) -> Candidate {
    Candidate { device: device(id), full: true }
}

fn ambiguous(ids: &[u128]) -> Match {
    Match::Ambiguous(ids.iter().map(|id| device(*id)).collect())
}

#[test]
fn the_only_synthetic_device_of_the_hardware_is_promoted() {
    assert_eq!(settle(None, &[synthetic(1)], false), Match::Promote(device(1)));
    assert_eq!(settle(None, &[], false), Match::Settled);
    assert_eq!(settle(Some(device(1)), &[full(1)], false), Match::Settled, "it has it");
    assert_eq!(settle(None, &[full(1)], false), Match::Settled, "it has another one");
}

#[test]
fn an_admin_is_asked_when_the_match_is_not_the_only_one() {
    assert_eq!(settle(None, &[synthetic(2), synthetic(1)], false), ambiguous(&[1, 2]));
    assert_eq!(settle(None, &[synthetic(1), full(2)], false), ambiguous(&[1, 2]));
    assert_eq!(settle(None, &[synthetic(1)], true), ambiguous(&[1]), "another record is of it too");
    assert_eq!(settle(Some(device(9)), &[synthetic(1)], false), ambiguous(&[1, 9]), "a second one turned up");
    assert_eq!(settle(None, &[full(1), full(2)], true), Match::Settled, "each has its own");
}

#[test]
fn a_question_names_so_many_and_no_more() {
    let many: Vec<_> = (0..1_000).map(synthetic).collect();
    assert!(matches!(settle(None, &many, false), Match::Ambiguous(found) if found.len() == CANDIDATES_MAX));
}

fn keys() -> impl Strategy<Value = Vec<HardwareKey>> {
    let kind = proptest::sample::select(vec![
        HardwareKeyKind::TpmEk,
        HardwareKeyKind::SmbiosUuid,
        HardwareKeyKind::Serial,
        HardwareKeyKind::MachineId,
    ]);
    // Few digests, so that sets meet.
    let key = (kind, 0..3_u8).prop_map(|(kind, digest)| HardwareKey { kind, digest: [digest; 32] });
    proptest::collection::vec(key, 0..5)
}

proptest! {
    #[test]
    fn sameness_is_mutual_and_goes_by_the_strongest_common_kind(a in keys(), b in keys()) {
        prop_assert_eq!(same(&a, &b), same(&b, &a));
        let common = a.iter().filter(|key| b.iter().any(|other| other.kind == key.kind)).map(|key| key.kind).min();
        let meet = a.iter().any(|key| Some(key.kind) == common && b.contains(key));
        prop_assert_eq!(same(&a, &b), meet);
    }

    #[test]
    fn sameness_does_not_depend_on_the_order_of_keys(a in keys(), b in keys()) {
        let turned: Vec<_> = a.iter().rev().copied().collect();
        prop_assert_eq!(same(&turned, &b), same(&a, &b));
    }

    #[test]
    fn the_order_of_candidates_changes_nothing(
        ids in proptest::collection::btree_map(0..5_u128, any::<bool>(), 0..5),
        holder in proptest::option::of(0..5_u128),
        rivals: bool,
    ) {
        let candidates: Vec<_> = ids.iter().map(|(id, full)| Candidate { device: device(*id), full: *full }).collect();
        let turned: Vec<_> = candidates.iter().rev().copied().collect();
        let holder = holder.map(device);
        let outcome = settle(holder, &candidates, rivals);
        prop_assert_eq!(&settle(holder, &turned, rivals), &outcome);
        // Nobody who has a registration ever gets another, and no two devices get one.
        if let Match::Promote(promoted) = outcome {
            prop_assert_eq!(candidates, vec![Candidate { device: promoted, full: false }]);
            prop_assert!(holder.is_none() && !rivals);
        }
    }
}
