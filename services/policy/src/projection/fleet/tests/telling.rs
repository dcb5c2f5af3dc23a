//! What is told of the fleet, folded, is the fleet.

use std::collections::BTreeMap;

use muster_eventlog::command::State as _;
use muster_eventlog::project::View as _;
use muster_types::{Digest, StreamId, TenantId, Version};
use proptest::prelude::*;

use super::history::*;
use super::random::any_history;
use super::*;
use crate::domain::resolution::{Behind, Event, Told};
use crate::projection::Resolutions;

/// What is to be told of some devices, or of all.
fn difference(fleet: &Fleet, position: u64, moved: Option<Moved>, told: &Told) -> Result<Vec<Event>, Behind> {
    let positions = Positions::of(Service::Policy, position);
    let devices = moved.as_ref().map(|moved| &moved.devices);
    let outcomes = fleet.outcomes(positions, devices);
    let causes = moved.map(|moved| moved.causes).unwrap_or_default();
    told.decide(outcomes.difference(causes, Timestamp::default()))
}

/// What devices have, by ordinal.
fn should_have(fleet: &Fleet) -> BTreeMap<u32, Digest> {
    let resolutions: Vec<_> = fleet.results.resolutions().map(|one| one.map(|one| one.id())).collect();
    let places = (0..).zip(fleet.results.places());
    places.filter_map(|(ordinal, place)| Some((ordinal, resolutions[*place as usize]?))).collect()
}

fn was_told(told: &Told) -> BTreeMap<u32, Digest> {
    let devices = |id: &Digest| told.devices(id).into_iter().flatten();
    told.ids().flat_map(|id| devices(id).map(|ordinal| (ordinal, *id))).collect()
}

fn envelope(event: &Event, version: u64) -> Envelope {
    let (kind, payload) = Told::encode(event);
    let mut envelope = muster_testkit::wire::envelope::<Told>(kind, payload);
    envelope.stream = StreamId::new(TenantId::DEFAULT, Aggregate::Resolution, uuid::Uuid::nil());
    envelope.version = Version(version);
    envelope
}

proptest! {
    #[test]
    fn what_was_told_after_each_change_is_what_devices_should_have(
        logs in any_history(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        run in 1..20_usize,
        lazy in 1..4_u64,
    ) {
        let (mut told, mut events) = (Told::default(), Vec::new());
        let fleet = folded_and(&logs, &choices, run, |fleet, position| {
            // Runs between are taken together, and all devices are compared.
            if position % lazy == 0 {
                for event in difference(fleet, position, None, &told).unwrap() {
                    told.evolve(&event);
                    events.push(event);
                }
                assert_eq!(was_told(&told), should_have(fleet));
            }
        });
        let position = logs.iter().map(Vec::len).sum::<usize>() as u64;
        for event in difference(&fleet, position, None, &told).unwrap() {
            told.evolve(&event);
            events.push(event);
        }
        prop_assert_eq!(was_told(&told), should_have(&fleet));
        prop_assert_eq!(difference(&fleet, position, None, &told), Ok(vec![]));

        // The view of it folds the same, brings it back from what is stored, and knows nothing that was told twice.
        let (mut view, mut dirty) = (Resolutions::default(), Dirty::everything());
        for (event, version) in events.iter().zip(1..) {
            view.apply(&envelope(event, version), &mut dirty).unwrap();
        }
        prop_assert_eq!(view.told(), &told);
        let mut again = Resolutions::default();
        let mut keys = BTreeSet::new();
        view.row_keys(&mut |key| { keys.insert(key.to_vec()); });
        for key in keys {
            again.load_row(&key, &view.encode_row(&key).unwrap()).unwrap();
        }
        prop_assert_eq!((again.told(), again.version()), (view.told(), view.version()));
    }

    #[test]
    fn what_moved_is_all_that_must_be_compared(
        logs in any_history(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        run in 1..8_usize,
    ) {
        let mut told = Told::default();
        let fleet = folded_and(&logs, &choices, run, |fleet, position| {
            let moved = fleet.take_moved();
            for event in difference(fleet, position, moved, &told).unwrap() {
                told.evolve(&event);
            }
            assert_eq!(was_told(&told), should_have(fleet));
        });
        prop_assert!(!fleet.has_moved());
    }
}

#[test]
fn a_cause_is_the_earliest_change_that_moved_the_devices() {
    let mut told = Told::default();
    let mut times = Vec::new();
    folded_and(&logs(&story()), &[0, 1, 2], 1, |fleet, position| {
        let moved = fleet.take_moved();
        for event in difference(fleet, position, moved, &told).unwrap() {
            told.evolve(&event);
            let came = event.resolved.iter().map(|one| (one.cause.micros(), one.devices.len()));
            times.extend(came);
        }
    });
    // Events of a history happen at the microsecond of their place in their log.
    assert_eq!(times.iter().map(|(_, devices)| devices).sum::<u64>(), 6, "{times:?}");
    assert_eq!(times.last().map(|(_, devices)| *devices), Some(3), "{times:?}");
}
