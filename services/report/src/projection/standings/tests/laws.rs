//! Over random histories, the view's answers are the oracle's, and its rows are the same however they came to be.

use std::collections::{BTreeMap, BTreeSet};

use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, View as _, ViewDigest};
use muster_proto::policy::v1::{EffectivePoliciesChanged, WithheldReason};
use muster_types::{Aggregate, DeviceId, PolicyId, Positions, Service, TenantId};
use proptest::prelude::*;
use prost::Message as _;

use super::history::{DEVICES, Happened, POLICIES, SETTINGS, Told, event, id, setting, time};
use super::oracle::Oracle;
use crate::domain::device_status::SettingState;
use crate::domain::standing::{DeviceFilter, DeviceState};
use crate::projection::standings::Standings;
use crate::projection::standings::tally::slot;
use crate::store::Key;

const TENANT: TenantId = TenantId::DEFAULT;

fn state() -> impl Strategy<Value = SettingState> {
    prop_oneof![
        3 => Just(SettingState::Succeeded),
        4 => proptest::sample::select(SettingState::ALL.to_vec()),
    ]
}

fn ordinals() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..u32::from(DEVICES), 0..6)
}

fn some_settings() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::subsequence((0..SETTINGS).collect::<Vec<_>>(), 0..=usize::from(SETTINGS))
}

fn told() -> impl Strategy<Value = Told> {
    let reason = proptest::sample::select(vec![
        None,
        None,
        None,
        Some(WithheldReason::Conflict),
        Some(WithheldReason::Waived),
        Some(WithheldReason::Channel),
        Some(WithheldReason::TamperProtected),
    ]);
    let treated = (0..2_u8, reason, proptest::sample::subsequence(vec![0_u32, 1], 0..=2));
    let settings = proptest::collection::btree_map(0..SETTINGS, treated, 0..4);
    let policies = proptest::sample::subsequence((0..POLICIES).collect::<Vec<_>>(), 0..=2);
    (0..3_u8, policies, 1..3_u64, settings).prop_map(|(etag, policies, revision, settings)| {
        let mut told = Told {
            etag,
            policies: policies.iter().map(|policy| (*policy, revision)).collect(),
            in_force: vec![],
            withheld: vec![],
        };
        for (setting, (value, reason, mut carriers)) in settings {
            carriers.retain(|place| (*place as usize) < policies.len());
            match reason {
                None => told.in_force.push((setting, value, carriers)),
                Some(reason) => told.withheld.push((setting, reason, carriers)),
            }
        }
        told
    })
}

fn happened() -> impl Strategy<Value = Happened> {
    let said = proptest::collection::btree_map(0..SETTINGS, (state(), 0..2_u8), 0..5);
    prop_oneof![
        1 => (0..DEVICES, any::<bool>()).prop_map(|(device, linux)| Happened::Onboarded { device, linux }),
        4 => (0..DEVICES).prop_map(Happened::Trusted),
        1 => (0..DEVICES).prop_map(Happened::Removed),
        3 => (0..3_u8, ordinals(), ordinals())
            .prop_map(|(group, added, removed)| Happened::Members { group, added, removed }),
        2 => (0..POLICIES, some_settings())
            .prop_map(|(policy, settings)| Happened::Created { policy, settings }),
        1 => (0..POLICIES, some_settings())
            .prop_map(|(policy, settings)| Happened::Revised { policy, settings }),
        1 => (0..POLICIES).prop_map(Happened::Deleted),
        1 => (0..POLICIES).prop_map(Happened::Undeleted),
        3 => (0..POLICIES, 0..3_u8, prop::bool::weighted(0.8))
            .prop_map(|(policy, group, include)| Happened::Assigned { policy, group, include }),
        1 => (0..POLICIES, 0..3_u8).prop_map(|(policy, group)| Happened::Unassigned { policy, group }),
        5 => (ordinals(), told())
            .prop_map(|(devices, resolution)| Happened::Resolved { devices, resolution }),
        1 => ordinals().prop_map(Happened::Nothing),
        3 => (ordinals(), 0..3_u8, 1..4_u8)
            .prop_map(|(devices, etag, step)| Happened::Delivered { devices, etag, step }),
        1 => ordinals().prop_map(Happened::Seen),
        5 => (0..DEVICES, 0..3_u8, said, prop::bool::weighted(0.15)).prop_map(
            |(device, etag, said, refused)| {
                let settings = said.into_iter().map(|(id, (state, desired))| (id, state, desired));
                Happened::Said { device, etag, settings: settings.collect(), refused }
            }
        ),
        1 => (0..DEVICES, 0..SETTINGS).prop_map(|(device, setting)| Happened::Drift { device, setting }),
        1 => (0..DEVICES, any::<bool>()).prop_map(|(device, stale)| Happened::Stale { device, stale }),
    ]
}

/// A history in which only what was created is revised.
fn history(max: usize) -> impl Strategy<Value = Vec<Happened>> {
    proptest::collection::vec(happened(), 0..max).prop_map(|mut history| {
        let mut created = BTreeSet::new();
        history.retain(|happened| {
            if let Happened::Created { policy, .. } = happened {
                created.insert(*policy);
            }
            !matches!(happened, Happened::Revised { policy, .. } if !created.contains(policy))
        });
        history
    })
}

/// Devices that all should have two settings say now this, now that of them, and what they should have changes once.
fn talk() -> impl Strategy<Value = Vec<Happened>> {
    let spoken = || (state(), 0..2_u8);
    let said = (0..DEVICES, 0..3_u8, [spoken(), spoken()]).prop_map(|(device, etag, settings)| {
        let settings =
            settings.into_iter().zip(0_u8..).map(|((state, asked), number)| (number, state, asked));
        Happened::Said { device, etag, settings: settings.collect(), refused: false }
    });
    let everybody = || (0..u32::from(DEVICES)).collect::<Vec<_>>();
    let resolved = move |etag, value| {
        let in_force = vec![(0, value, vec![0]), (1, 1, vec![0])];
        let resolution = Told { etag, policies: vec![(0, 1)], in_force, withheld: vec![] };
        Happened::Resolved { devices: everybody(), resolution }
    };
    (proptest::collection::vec(said, 0..40), 0..40_usize).prop_map(move |(mut said, cut)| {
        said.insert(cut.min(said.len()), resolved(1, 1));
        let mut history: Vec<_> = (0..DEVICES).map(Happened::Trusted).collect();
        history.extend([
            Happened::Members { group: 0, added: everybody(), removed: vec![] },
            Happened::Created { policy: 0, settings: vec![0, 1] },
            Happened::Assigned { policy: 0, group: 0, include: true },
            resolved(0, 0),
        ]);
        history.extend(said);
        history
    })
}

fn events(history: &[Happened]) -> Vec<Envelope> {
    history.iter().enumerate().map(|(n, happened)| event(happened, n)).collect()
}

fn folded<'a>(events: impl IntoIterator<Item = &'a Envelope>) -> Standings {
    let mut standings = Standings::default();
    events.into_iter().for_each(|event| standings.apply(event, &mut Dirty::default()).unwrap());
    standings
}

fn stored(standings: &Standings) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    standings.row_keys(&mut |key| {
        let value = standings.encode_row(key).expect("a key that is named has a row");
        assert_eq!(rows.insert(key.to_vec(), value), None, "a row is named twice");
    });
    rows
}

fn loaded(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Standings {
    let mut standings = Standings::default();
    rows.iter().for_each(|(key, value)| standings.load_row(key, value).unwrap());
    standings.loaded(&Positions::ZERO);
    standings
}

fn policy(number: u8) -> PolicyId {
    PolicyId::from_uuid(id(3, number))
}

fn check(standings: &Standings, oracle: &Oracle) -> Result<(), TestCaseError> {
    for number in 0..POLICIES {
        let standing = standings.policy(TENANT, policy(number));
        let Some((_, settings, _)) = oracle.known(number) else {
            prop_assert_eq!(standing, None);
            continue;
        };
        let (targeted, standing) = (oracle.targeted(number), standing.unwrap());
        prop_assert_eq!(standing.targeted, targeted.len() as u64);
        for (state, devices) in standing.states {
            let asked = targeted.iter().filter(|at| oracle.policy_state(**at, number) == state).count();
            prop_assert_eq!((state, devices), (state, asked as u64));
        }
        let added_up: u64 = standing.verdicts().iter().map(|(_, devices)| devices).sum();
        prop_assert_eq!(added_up, standing.targeted);
        let stale = targeted.iter().filter(|at| oracle.is_stale(**at)).count();
        prop_assert_eq!(standing.stale, stale as u64);
        let by_setting = standings.policy_settings(TENANT, policy(number)).unwrap();
        let settings: Vec<u8> = settings.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        prop_assert_eq!(by_setting.settings.len(), settings.len());
        for (counted, number_of) in by_setting.settings.iter().zip(settings) {
            prop_assert_eq!(counted.id.as_str(), setting(number_of));
            for (state, devices) in counted.counts {
                let asks = |at: &&u32| oracle.setting_state(**at, number, number_of) == state;
                prop_assert_eq!((state, devices), (state, targeted.iter().filter(asks).count() as u64));
            }
        }
        let export = standings.export(TENANT, policy(number), &DeviceFilter::default()).unwrap();
        let rows: Vec<_> = export.rows(None).collect();
        prop_assert_eq!(rows.iter().map(|row| row.ordinal).collect::<Vec<_>>(), targeted);
        for row in &rows {
            prop_assert_eq!(row.state, oracle.policy_state(row.ordinal, number));
            prop_assert_eq!(row.reason.is_empty(), row.state == DeviceState::Confirmed, "{:?}", row);
        }
        let convergence = standings.convergence(TENANT, policy(number)).unwrap();
        for revision in convergence.revisions {
            let straggling: u64 = revision.stragglers.iter().map(|stragglers| stragglers.devices).sum();
            prop_assert_eq!(revision.devices, revision.converged + straggling);
        }
    }
    let mut resolutions = 0;
    standings.each_row(&mut |key| {
        resolutions += usize::from(matches!(Key::from_bytes(key), Some(Key::Resolution(_))));
    });
    prop_assert_eq!(resolutions, oracle.desired().len(), "what nobody has is forgotten");
    for number in 0..DEVICES {
        let device = DeviceId::from_uuid(id(1, number));
        let Some(standing) = standings.device(TENANT, device, None) else { continue };
        prop_assert!(standing.settings.is_sorted_by(|one, other| one.id < other.id));
        let asked = standing.settings.iter().filter(|setting| !setting.unasked);
        let ages: Vec<_> = asked.map(|setting| (setting.id.to_string(), setting.desired_time)).collect();
        let expected = standings.ordinal(device).map(|at| oracle.ages(at)).unwrap_or_default();
        let expected = expected.into_iter().map(|(number, n)| (setting(number), Some(time(n))));
        prop_assert_eq!(ages, expected.collect::<Vec<_>>());
    }
    let fleet = standings.fleet(TENANT, 10);
    prop_assert_eq!(fleet.devices, oracle.registered().count() as u64);
    for (state, devices) in fleet.states {
        let asked = oracle.registered().filter(|at| oracle.fleet_state(*at) == state).count();
        prop_assert_eq!((state, devices), (state, asked as u64));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn counts_are_what_asking_every_device_gives(history in history(80)) {
        let standings = folded(&events(&history));
        check(&standings, &Oracle::of(&history))?;
    }

    #[test]
    fn statuses_are_judged_alike_only_when_they_say_alike(history in talk()) {
        let standings = folded(&events(&history));
        check(&standings, &Oracle::of(&history))?;
    }

    #[test]
    fn the_order_between_services_and_redelivery_show_nowhere(history in history(60), order in any::<[u8; 4]>()) {
        let events = events(&history);
        let mut services = Service::ALL;
        services.sort_by_key(|service| order[*service as usize - 1]);
        let apart = services.iter().flat_map(|service| {
            events.iter().filter(|event| event.stream.service() == *service)
        });
        let (together, apart) = (folded(&events), folded(apart));
        prop_assert_eq!(stored(&apart), stored(&together));
        prop_assert_eq!(ViewDigest::of(&apart), ViewDigest::of(&together));
        let twice = folded(events.iter().flat_map(|event| [event, event]));
        prop_assert_eq!(stored(&twice), stored(&together));
        check(&apart, &Oracle::of(&history))?;
    }

    #[test]
    fn loading_rows_and_going_on_is_folding_from_scratch(history in history(60), cut in 0..60_usize) {
        let events = events(&history);
        let (before, after) = events.split_at(cut.min(events.len()));
        let mut resumed = loaded(&stored(&folded(before)));
        after.iter().for_each(|event| resumed.apply(event, &mut Dirty::default()).unwrap());
        prop_assert_eq!(stored(&resumed), stored(&folded(&events)));
        check(&resumed, &Oracle::of(&history))?;
    }

    #[test]
    fn rows_that_change_are_marked(history in history(60)) {
        let mut standings = Standings::default();
        for event in events(&history) {
            let before = stored(&standings);
            let mut dirty = Dirty::default();
            standings.apply(&event, &mut dirty).unwrap();
            let after = stored(&standings);
            let marked: BTreeSet<&[u8]> = dirty.keys().into_iter().collect();
            for key in before.keys().chain(after.keys()) {
                prop_assert!(before.get(key) == after.get(key) || marked.contains(&key[..]), "{:?}", key);
            }
        }
    }
}

#[test]
fn states_have_their_places() {
    assert!(DeviceState::ALL.iter().enumerate().all(|(place, state)| slot(*state) == place));
}

/// Before, each resolution was told once and named ever after.
#[test]
fn what_may_be_named_again_without_being_told_is_kept() {
    let told = Told { etag: 1, policies: vec![], in_force: vec![(1, 1, vec![])], withheld: vec![] };
    let comes = Happened::Resolved { devices: vec![0], resolution: told };
    let happened = [Happened::Trusted(0), comes.clone(), Happened::Nothing(vec![0]), comes];
    let named_again = |restated: bool| {
        let mut standings = Standings::default();
        let mut outcome = Ok(());
        for (n, happened) in happened.iter().enumerate() {
            let mut event = event(happened, n);
            if let Ok(mut message) = EffectivePoliciesChanged::decode(&event.payload[..])
                && event.stream.aggregate == Aggregate::Resolution
            {
                message.restated = restated;
                if n == 3 {
                    message.resolved.iter_mut().for_each(|resolved| resolved.resolution = None);
                }
                event.payload = message.encode_to_vec().into();
            }
            outcome = standings.apply(&event, &mut Dirty::default());
        }
        outcome
    };
    assert!(named_again(false).is_ok());
    assert!(named_again(true).is_err(), "it was kept for nobody");
}
