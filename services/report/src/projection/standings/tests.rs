use muster_eventlog::command::State as _;
use muster_eventlog::project::ViewDigest;
use muster_eventlog::{Actor, Context, EventType};
use muster_types::{Aggregate, EventId, StreamId, Version};
use proptest::prelude::*;
use prost::Message as _;
use uuid::Uuid;

use muster_proto::enroll::v1 as enroll;

use super::*;
use crate::domain::device_status::{DeviceStatus, Event, SettingState, SettingStatus};

const DEVICES: u8 = 6;

fn envelope(aggregate: Aggregate, id: Uuid, kind: EventType, payload: Vec<u8>) -> Envelope {
    Envelope {
        position: 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream: StreamId::new(TenantId::DEFAULT, aggregate, id),
        version: Version(1),
        kind,
        context: Context {
            actor: Actor::admin("admin"),
            time: Timestamp::from_micros(7),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}

fn id(kind: u8, number: u8) -> Uuid {
    Uuid::from_bytes([kind, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn device(number: u8) -> Uuid {
    id(1, number)
}

fn trusted(number: u8) -> Envelope {
    envelope(Aggregate::Registration, device(number), EventType::new(kind::TRUST_ESTABLISHED), vec![])
}

fn removed(number: u8) -> Envelope {
    let kind = EventType::new(kind::REGISTRATION_REMOVED);
    envelope(Aggregate::Registration, device(number), kind, vec![])
}

fn said(number: u8, states: &[(u8, SettingState)], refused: bool) -> Envelope {
    let settings = states.iter().map(|(setting, state)| SettingStatus {
        id: setting_id(*setting),
        desired: None,
        observed: None,
        state: *state,
        reason: String::new(),
        message: String::new(),
        corrections: 0,
    });
    let status = Status {
        policy_etag: [0; 32],
        policy_version: 1,
        apply_time: None,
        settings: settings.collect(),
        refused_reason: if refused { "POLICY_EXPIRED".to_owned() } else { String::new() },
    };
    let (kind, payload) = DeviceStatus::encode(&Event::Reported { status });
    envelope(Aggregate::DeviceStatus, device(number), kind, payload)
}

fn setting_id(number: u8) -> SettingId {
    format!("p/s{number}").parse().unwrap()
}

fn members(group: u8, added: &[u32], removed: &[u32]) -> Envelope {
    let bitmap = |ordinals: &[u32]| store::encode_bitmap(&ordinals.iter().copied().collect());
    let payload = GroupMembershipChanged { added: bitmap(added), removed: bitmap(removed) }.encode_to_vec();
    envelope(Aggregate::Group, id(2, group), EventType::new(kind::MEMBERSHIP_CHANGED), payload)
}

fn policy(number: u8, settings: &[u8]) -> Envelope {
    let setting = |number: &u8| Setting { id: setting_id(*number).to_string(), value: None };
    let settings = settings.iter().map(setting).collect();
    let payload = PolicyCreated { settings, ..Default::default() }.encode_to_vec();
    envelope(Aggregate::Policy, id(3, number), EventType::new(kind::POLICY_CREATED), payload)
}

fn assigned(number: u8, group: u8, intent: AssignmentIntent) -> Envelope {
    let (policy_id, group_id) = (id(3, number).as_bytes().to_vec(), id(2, group).as_bytes().to_vec());
    let payload =
        PolicyAssigned { policy_id, group_id, intent: intent.into(), ..Default::default() }.encode_to_vec();
    envelope(Aggregate::Assignment, id(4, number), EventType::new(kind::POLICY_ASSIGNED), payload)
}

fn onboarded(number: u8, platform: enroll::Platform) -> Envelope {
    let facts = enroll::DeviceFacts { platform: platform.into(), ..Default::default() };
    let payload = DeviceOnboarded { facts: Some(facts), ..Default::default() }.encode_to_vec();
    envelope(Aggregate::Enrollment, device(number), EventType::new(kind::DEVICE_ONBOARDED), payload)
}

fn linux_policy(number: u8, settings: &[u8]) -> Envelope {
    let setting = |number: &u8| Setting { id: setting_id(*number).to_string(), value: None };
    let settings = settings.iter().map(setting).collect();
    let profile = "linux-antivirus".to_owned();
    let payload = PolicyCreated { settings, profile, ..Default::default() }.encode_to_vec();
    envelope(Aggregate::Policy, id(3, number), EventType::new(kind::POLICY_CREATED), payload)
}

fn undeleted(number: u8) -> Envelope {
    envelope(Aggregate::Policy, id(3, number), EventType::new(kind::POLICY_UNDELETED), vec![])
}

fn deleted(number: u8) -> Envelope {
    envelope(Aggregate::Policy, id(3, number), EventType::new(kind::POLICY_DELETED), vec![])
}

fn folded<'a>(events: impl IntoIterator<Item = &'a Envelope>) -> Standings {
    let mut standings = Standings::default();
    for event in events {
        standings.apply(event, &mut Dirty::default()).unwrap();
    }
    standings
}

fn counts(standings: &Standings, number: u8) -> Option<Counts> {
    standings.counts(TenantId::DEFAULT, PolicyId::from_uuid(id(3, number)))
}

/// The same count the slow way: ask every device.
fn counted(standings: &Standings, number: u8) -> Counts {
    let policy = PolicyId::from_uuid(id(3, number));
    let known = &standings.policies[&policy];
    let settings = &known.settings;
    let targeted = standings.targeted(policy);
    let verdicts: Vec<_> = targeted
        .iter()
        .map(|ordinal| {
            let device = standings.devices.get(ordinal as usize);
            let platform = device.and_then(|id| standings.platforms.of(*id, Some(ordinal)));
            if platform.is_some_and(|platform| known.platform.is_some_and(|wanted| wanted != platform)) {
                return CheckIn::NotApplicable;
            }
            let report = device.and_then(|id| standings.reports.get(id));
            report.map_or(CheckIn::Pending, |report| {
                wire::status(&report.payload).unwrap().verdict_on(settings)
            })
        })
        .collect();
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count() as u64;
    Counts { targeted: targeted.len(), by_verdict: CheckIn::ALL.map(|verdict| (verdict, count(verdict))) }
}

#[test]
fn exclusion_wins_and_counts_add_up() {
    let standings = folded(&[
        trusted(0),
        trusted(1),
        trusted(2),
        members(1, &[0, 1, 2], &[]),
        members(2, &[2], &[]),
        policy(1, &[1]),
        assigned(1, 1, AssignmentIntent::Include),
        assigned(1, 2, AssignmentIntent::Exclude),
        said(0, &[(1, SettingState::Succeeded)], false),
    ]);
    let counts = counts(&standings, 1).unwrap();
    assert_eq!(counts.targeted, 2);
    assert_eq!(counts.by_verdict[0], (CheckIn::Succeeded, 1));
    assert_eq!(counts.by_verdict[3], (CheckIn::Pending, 1));
}

#[test]
fn a_device_that_is_gone_leaves_the_counts_and_comes_back_with_trust() {
    let mut events = vec![
        trusted(0),
        trusted(1),
        trusted(2),
        members(1, &[0, 1, 2], &[]),
        policy(1, &[1]),
        assigned(1, 1, AssignmentIntent::Include),
        said(0, &[(1, SettingState::Succeeded)], false),
        said(1, &[(1, SettingState::Error)], false),
    ];
    let told = |events: &[Envelope]| {
        let standings = folded(events);
        let Counts { targeted, by_verdict } = counts(&standings, 1).unwrap();
        assert_eq!(by_verdict.iter().map(|(_, devices)| devices).sum::<u64>(), targeted);
        by_verdict.map(|(_, devices)| devices)
    };
    assert_eq!(told(&events), [1, 1, 0, 1, 0]);
    events.push(removed(1));
    assert_eq!(told(&events), [1, 0, 0, 1, 0]);
    // What it still says while it goes does not count.
    events.push(said(1, &[(1, SettingState::Succeeded)], false));
    assert_eq!(told(&events), [1, 0, 0, 1, 0]);
    events.push(trusted(1));
    assert_eq!(told(&events), [2, 0, 0, 1, 0]);
}

#[test]
fn a_deleted_policy_has_no_report_until_it_comes_back_with_its_assignments() {
    let mut events =
        vec![trusted(0), members(1, &[0], &[]), policy(1, &[1]), assigned(1, 1, AssignmentIntent::Include)];
    let targeted = |events: &[Envelope]| counts(&folded(events), 1).map(|counts| counts.targeted);
    assert_eq!(targeted(&events), Some(1));
    events.push(deleted(1));
    assert_eq!(targeted(&events), None);
    events.push(undeleted(1));
    assert_eq!(targeted(&events), Some(1));
}

#[test]
fn a_policy_is_not_applicable_on_devices_of_another_platform() {
    let standings = folded(&[
        onboarded(0, enroll::Platform::Windows),
        trusted(0),
        trusted(1),
        onboarded(1, enroll::Platform::Linux),
        trusted(2),
        members(1, &[0, 1, 2], &[]),
        linux_policy(1, &[1]),
        assigned(1, 1, AssignmentIntent::Include),
        said(1, &[(1, SettingState::Succeeded)], false),
    ]);
    let Counts { targeted, by_verdict } = counts(&standings, 1).unwrap();
    assert_eq!((targeted, by_verdict.map(|(_, devices)| devices)), (3, [1, 0, 0, 1, 1]));
}

fn state() -> impl Strategy<Value = SettingState> {
    proptest::sample::select(SettingState::ALL.to_vec())
}

fn event() -> impl Strategy<Value = Envelope> {
    let ordinals = || proptest::collection::vec(0..u32::from(DEVICES), 0..4);
    let states = proptest::collection::btree_map(0..4_u8, state(), 0..4);
    prop_oneof![
        2 => (0..DEVICES).prop_map(trusted),
        1 => (0..DEVICES).prop_map(removed),
        2 => (0..DEVICES, states, prop::bool::weighted(0.1)).prop_map(|(number, states, refused)| {
            said(number, &states.into_iter().collect::<Vec<_>>(), refused)
        }),
        1 => (0..3_u8, ordinals(), ordinals())
            .prop_map(|(group, added, removed)| members(group, &added, &removed)),
        1 => (0..2_u8, proptest::sample::subsequence(vec![0, 1, 2, 3], 0..=4))
            .prop_map(|(number, settings)| policy(number, &settings)),
        1 => (0..2_u8, 0..3_u8, prop::bool::ANY).prop_map(|(number, group, include)| {
            assigned(
                number,
                group,
                if include { AssignmentIntent::Include } else { AssignmentIntent::Exclude },
            )
        }),
        1 => (0..2_u8).prop_map(deleted),
        1 => (0..2_u8).prop_map(undeleted),
        1 => (0..2_u8).prop_map(|number| linux_policy(number, &[0, 1])),
        1 => (0..DEVICES, prop::bool::ANY).prop_map(|(number, linux)| {
            onboarded(number, if linux { enroll::Platform::Linux } else { enroll::Platform::Macos })
        }),
    ]
}

proptest! {
    #[test]
    fn bitmaps_count_what_asking_every_device_counts(events in proptest::collection::vec(event(), 0..60)) {
        let standings = folded(&events);
        for number in 0..2 {
            let Some(counts) = counts(&standings, number) else { continue };
            prop_assert_eq!(counts.by_verdict.iter().map(|(_, devices)| devices).sum::<u64>(), counts.targeted);
            prop_assert_eq!(counts, counted(&standings, number));
        }
    }

    #[test]
    fn redelivery_changes_nothing(events in proptest::collection::vec(event(), 0..40)) {
        let twice = events.iter().flat_map(|event| [event, event]);
        prop_assert_eq!(ViewDigest::of(&folded(twice)), ViewDigest::of(&folded(&events)));
    }

    #[test]
    fn loading_rows_and_going_on_is_folding_from_scratch(
        events in proptest::collection::vec(event(), 0..40),
        cut in 0..40_usize,
    ) {
        let (before, after) = events.split_at(cut.min(events.len()));
        let stored = folded(before);
        let mut rows = BTreeMap::new();
        stored.row_keys(&mut |key| {
            rows.insert(key.to_vec(), stored.encode_row(key).unwrap());
        });
        let mut resumed = Standings::default();
        for (key, value) in &rows {
            resumed.load_row(key, value).unwrap();
        }
        for event in after {
            resumed.apply(event, &mut Dirty::default()).unwrap();
        }
        let scratch = folded(&events);
        prop_assert_eq!(ViewDigest::of(&resumed), ViewDigest::of(&scratch));
        for number in 0..2 {
            prop_assert_eq!(counts(&resumed, number), counts(&scratch, number));
        }
    }
}
