//! What the log is told, folded, is what devices should have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_catalog::MergeMode;
use muster_eventlog::command::State as _;
use muster_eventlog::envelope::PAYLOAD_BYTES_MAX;
use muster_types::{Digest, PolicyId, Positions, Service, SettingValue, Timestamp, WithheldReason, setting};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::*;
use crate::domain::resolve::{self, Candidate, Effective, InForce, Source};

fn policy(n: u8) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(n.into()))
}

fn source(n: u8) -> Arc<Source> {
    Arc::new(Source { policy: policy(n), revision: 1, priority: None, groups: Vec::new() })
}

fn candidate(n: u8) -> Candidate {
    Candidate { value: SettingValue::Boolean(true), source: source(n) }
}

fn in_force(id: &str, value: SettingValue, sources: &[u8], losers: &[u8]) -> InForce {
    InForce {
        id: id.parse().unwrap(),
        value,
        sources: sources.iter().copied().map(source).collect(),
        losers: losers.iter().copied().map(candidate).collect(),
        mode: MergeMode::Conflict,
        tamper_guarded: false,
    }
}

fn resolution(policies: &[u8], settings: Vec<InForce>, withheld: Vec<resolve::Withheld>) -> Resolution {
    let etag = setting::etag_of_result(
        settings.iter().map(|setting| (&setting.id, &setting.value)),
        withheld.iter().map(|withheld| (&withheld.id, withheld.reason)),
    );
    let policies = policies.iter().map(|n| Revised { policy: policy(*n), revision: 1 });
    Resolution::new(policies.collect(), Arc::new(Effective { settings, withheld, etag }))
}

/// One of some resolutions.
fn one_of(n: u8) -> Resolution {
    resolution(&[n], vec![in_force("p/s", SettingValue::Integer(n.into()), &[n], &[])], Vec::new())
}

const fn at(position: u64) -> Positions {
    Positions::of(Service::Policy, position)
}

/// What each device should have; none should have the last.
type Fleet = BTreeMap<u32, Option<u8>>;

fn difference(fleet: &Fleet, position: u64) -> Difference {
    let mut by_resolution: BTreeMap<u8, RoaringBitmap> = BTreeMap::new();
    let mut none = RoaringBitmap::new();
    for (ordinal, has) in fleet {
        match has {
            Some(n) => by_resolution.entry(*n).or_default().insert(*ordinal),
            None => none.insert(*ordinal),
        };
    }
    let come = by_resolution.into_iter().map(|(n, devices)| Come { resolution: one_of(n), devices });
    let otherwise = Timestamp::from_micros(9);
    Difference { positions: at(position), come: come.collect(), none, causes: Vec::new(), otherwise }
}

/// What was told, device by device.
fn has(told: &Told, resolutions: u8) -> BTreeMap<u32, u8> {
    let devices = |n| told.devices(&one_of(n).id()).into_iter().flatten();
    (0..resolutions).flat_map(|n| devices(n).map(move |ordinal| (ordinal, n))).collect()
}

/// One that follows what is told, and forgets at once what no device should have.
#[derive(Default)]
struct Reader {
    told: Told,
    known: BTreeSet<Digest>,
}

impl Reader {
    /// Reads what was told at once, and names a resolution that it was to know and did not.
    fn unknown_in(&mut self, events: &[Event]) -> Option<Digest> {
        let mut unknown = None;
        for event in events {
            for Resolved { id, content, .. } in &event.resolved {
                if content.is_some() {
                    self.known.insert(*id);
                } else if !self.known.contains(id) {
                    unknown = Some(*id);
                }
            }
            self.told.evolve(event);
            self.known = self.told.ids().copied().collect();
        }
        unknown
    }
}

const RESOLUTIONS: u8 = 5;

/// Of few devices, so that they come and go, in more than one container of a bitmap.
fn any_step() -> impl Strategy<Value = Vec<(u32, Option<u8>)>> {
    let ordinal = (0..20_u32).prop_map(|n| n * 3_500);
    prop::collection::vec((ordinal, prop::option::of(0..RESOLUTIONS)), 0..12)
}

proptest! {
    #[test]
    fn what_was_told_is_what_devices_should_have_and_nothing_is_told_twice(
        steps in prop::collection::vec((any_step(), any::<bool>()), 1..20),
    ) {
        // Two processes tell; each has folded what was told, or what was told a while ago.
        let (mut fleet, mut told, mut stale) = (Fleet::new(), Told::default(), Told::default());
        let mut reader = Reader::default();
        let mut position = 0;
        for (step, refresh) in steps {
            position += 1;
            let touched: Fleet = step.into_iter().collect();
            fleet.extend(touched.clone());
            let events = told.decide(difference(&touched, position)).unwrap();
            prop_assert_eq!(reader.unknown_in(&events), None);
            let resolved = || events.iter().flat_map(|event| &event.resolved);
            let moving = resolved().fold(RoaringBitmap::new(), |moving, resolved| moving | &resolved.devices);
            let moving = events.iter().fold(moving, |moving, event| moving | &event.none);
            for Resolved { id, devices, content, .. } in resolved() {
                let before = told.devices(id);
                let left = before.is_some_and(|before| !before.is_subset(&moving));
                prop_assert_eq!(content.is_none(), left, "what somebody had all the time is not told anew");
                prop_assert!(!devices.is_empty());
                prop_assert!(before.is_none_or(|before| before.is_disjoint(devices)));
            }
            for event in &events {
                prop_assert!(event.none.is_subset(told.having()));
                told.evolve(event);
            }
            let expected: BTreeMap<_, _> = fleet.iter().filter_map(|(at, has)| Some((*at, (*has)?))).collect();
            prop_assert_eq!(has(&told, RESOLUTIONS), expected);
            prop_assert_eq!(told.positions().sum() <= position, true);
            // The same again, of the same devices or of all of them, as after a restart, is nothing.
            prop_assert_eq!(told.decide(difference(&touched, position)).unwrap(), vec![]);
            prop_assert_eq!(told.decide(difference(&fleet, position)).unwrap(), vec![]);
            // One that lost the race reads what was told, and has nothing to add.
            if refresh {
                stale = told.clone();
                prop_assert_eq!(stale.decide(difference(&fleet, position)).unwrap(), vec![]);
            }
            // One that has resolved less tells nothing back.
            if told.positions().sum() == position {
                let behind = told.decide(difference(&touched, position - 1));
                prop_assert_eq!(behind, Err(Behind { told: at(position), found: at(position - 1) }));
            }
        }
        // A process that knew long ago compares all, and tells what is missing.
        for event in stale.decide(difference(&fleet, position)).unwrap() {
            stale.evolve(&event);
        }
        prop_assert_eq!(has(&stale, RESOLUTIONS), has(&told, RESOLUTIONS));
    }

}

proptest! {
    // Large events take their time.
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn no_event_is_larger_than_the_log_takes(
        parts in prop::collection::vec((1..6_u32, 0..40_u32, 0..3_usize), 4..8),
    ) {
        let value = |kilobytes: usize| {
            SettingValue::Strings((0..kilobytes * 10).map(|n| format!("{n:0100}")).collect())
        };
        let come = parts.iter().zip(0_u8..).map(|((step, from, large), n)| {
            let settings = vec![
                in_force("p/a", value(150 * large), &[n], &[]),
                in_force("p/b", value(10), &[n], &[]),
            ];
            let devices = (*from..2_000_000).step_by(*step as usize * 8).map(|at| at + u32::from(n));
            Come { resolution: resolution(&[n], settings, Vec::new()), devices: devices.collect() }
        });
        let mut taken = RoaringBitmap::new();
        let mut come: Vec<_> = come.collect();
        for Come { devices, .. } in &mut come {
            *devices -= &taken;
            taken |= &*devices;
        }
        let mut reader = Reader::default();
        for position in 1..=3 {
            let difference = Difference { come: come.clone(), ..difference(&Fleet::new(), position) };
            let events = reader.told.decide(difference).unwrap();
            let sizes = events.iter().map(|event| Told::encode(event).1.len());
            prop_assert!(sizes.max() <= Some(PAYLOAD_BYTES_MAX));
            prop_assert_eq!(reader.unknown_in(&events), None);
            for Come { resolution, devices } in &come {
                let expected = Some(devices).filter(|devices| !devices.is_empty());
                prop_assert_eq!(reader.told.devices(&resolution.id()), expected);
            }
            // All devices go from one to the next.
            let resolutions: Vec<_> = come.iter().map(|come| come.resolution.clone()).collect();
            come.iter_mut().zip(resolutions.into_iter().cycle().skip(1)).for_each(|(come, next)| come.resolution = next);
        }
    }
}

#[test]
fn what_is_too_large_is_told_without_its_largest_values() {
    let large = SettingValue::Text("x".repeat(CONTENT_BYTES_MAX));
    let small = SettingValue::Integer(1);
    let settings = vec![in_force("p/a", large, &[1], &[]), in_force("p/b", small.clone(), &[1], &[])];
    let content = resolution(&[1], settings, Vec::new()).content();
    assert!(content.size_bytes() <= CONTENT_BYTES_MAX);
    let values: Vec<_> = content.settings.iter().map(|setting| setting.value.clone()).collect();
    assert_eq!(values, [None, Some(small)]);
}

#[test]
fn a_resolution_says_which_policies_a_setting_is_from() {
    let withheld = |id: &str, reason, candidates: &[u8]| resolve::Withheld {
        id: id.parse().unwrap(),
        reason,
        candidates: candidates.iter().copied().map(candidate).collect(),
    };
    let on = SettingValue::Boolean(true);
    let told = || withheld("p/b", WithheldReason::Conflict, &[3, 2]);
    let setting = |losers: &[u8]| vec![in_force("p/a", on.clone(), &[2, 3], losers)];
    let resolved = resolution(
        &[2, 3, 5],
        setting(&[5, 5]),
        vec![told(), withheld("p/c", WithheldReason::Platform, &[9])],
    );
    let content = resolved.content();
    let Setting { winners, losers, .. } = &content.settings[0];
    assert_eq!((&winners[..], &losers[..]), (&[0, 1][..], &[2][..]));
    let ids: Vec<_> = content.withheld.iter().map(|withheld| withheld.id.as_str()).collect();
    assert_eq!((ids, &content.withheld[0].candidates[..]), (vec!["p/b"], &[0, 1][..]));
    let same = resolution(&[2, 3, 5], setting(&[5]), vec![told()]);
    assert_eq!(same.id(), resolved.id(), "what other platforms get is none of its business");
    assert_ne!(resolution(&[2, 3, 5], setting(&[]), vec![told()]).id(), resolved.id());
    assert_ne!(resolution(&[2, 3], setting(&[]), vec![told()]).id(), resolved.id());
}

#[test]
fn the_cause_is_the_earliest_that_concerns_the_devices() {
    let cause = |devices: &[u32], micros| Cause {
        devices: devices.iter().copied().collect(),
        time: Timestamp::from_micros(micros),
    };
    let causes = vec![cause(&[1, 2], 7), cause(&[2], 5), cause(&[3], 1)];
    let fleet = [(1, Some(0)), (2, Some(1)), (4, Some(2))].into();
    let events = Told::default().decide(Difference { causes, ..difference(&fleet, 1) }).unwrap();
    let mut times: Vec<_> =
        events[0].resolved.iter().map(|one| (one.devices.min().unwrap(), one.cause.micros())).collect();
    times.sort_unstable();
    assert_eq!(times, [(1, 7), (2, 5), (4, 9)]);
}
