use muster_eventlog::command::State;
use muster_eventlog::project::ViewDigest;
use muster_eventlog::{Actor, Context, EventType};
use muster_types::{Aggregate, EventId, RequestId, StreamId, TenantId, Version};
use proptest::prelude::*;
use prost::Message as _;
use uuid::Uuid;

use super::*;
use crate::domain::Origin;
use crate::domain::device_status::{DeviceStatus, Event};
use crate::domain::report_settings::{self, Values};
use crate::store::encode_bitmap;

const HOUR: Duration = Duration::from_secs(3_600);
const DEVICES: u8 = 5;

fn minute(n: u32) -> Timestamp {
    Minute(n).begin().plus(Duration::from_secs(7))
}

fn envelope(aggregate: Aggregate, id: Uuid, (kind, payload): (EventType, Vec<u8>), at: u32) -> Envelope {
    Envelope {
        position: 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream: StreamId::new(TenantId::DEFAULT, aggregate, id),
        version: Version(1),
        kind,
        context: Context {
            actor: Actor::admin("admin"),
            time: minute(at),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}

fn id(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

fn device(number: u8) -> DeviceId {
    DeviceId::from_uuid(id(number))
}

fn registration(number: u8, kind: &'static str, at: u32) -> Envelope {
    envelope(Aggregate::Registration, id(number), (EventType::new(kind), vec![]), at)
}

fn trusted(number: u8, at: u32) -> Envelope {
    registration(number, kind::TRUST_ESTABLISHED, at)
}

fn removed(number: u8, at: u32) -> Envelope {
    registration(number, kind::REGISTRATION_REMOVED, at)
}

fn seen(ordinals: &[u32], at: u32) -> Envelope {
    let devices = encode_bitmap(&ordinals.iter().copied().collect());
    let payload = DevicesSeen { devices }.encode_to_vec();
    envelope(Aggregate::Presence, Uuid::nil(), (EventType::new(kind::DEVICES_SEEN), payload), at)
}

fn reported(number: u8, at: u32) -> Envelope {
    let payload = (EventType::new(kind::STATUS_REPORTED), vec![]);
    envelope(Aggregate::DeviceStatus, id(number), payload, at)
}

fn went_stale(number: u8, last_seen: u32) -> Envelope {
    let event = Event::WentStale { last_seen: Minute(last_seen).begin() };
    envelope(Aggregate::DeviceStatus, id(number), DeviceStatus::encode(&event), last_seen + 10)
}

fn returned(number: u8, at: u32) -> Envelope {
    let event = Event::Returned { seen: Minute(at).begin() };
    envelope(Aggregate::DeviceStatus, id(number), DeviceStatus::encode(&event), at)
}

fn changed(stale_after: Duration) -> Envelope {
    let request = RequestId::from_uuid(Uuid::nil());
    let origin = Origin { actor: String::new(), reason: String::new(), request, at: minute(1) };
    let values = Values { stale_after, ..Values::default() };
    let event = report_settings::Event::Changed { values, origin };
    envelope(Aggregate::ReportSettings, Uuid::nil(), ReportSettings::encode(&event), 1)
}

fn folded<'a>(events: impl IntoIterator<Item = &'a Envelope>) -> Sightings {
    let mut view = Sightings::default();
    for event in events {
        view.apply(event, &mut Dirty::everything()).unwrap();
    }
    view
}

fn restored(view: &Sightings) -> Sightings {
    let mut rows = Vec::new();
    view.row_keys(&mut |key| rows.push((key.to_vec(), view.encode_row(key).unwrap())));
    rows.sort();
    let mut restored = Sightings::default();
    rows.iter().for_each(|(key, value)| restored.load_row(key, value).unwrap());
    restored
}

type Answers = (Vec<(DeviceId, Minute)>, Vec<(DeviceId, Minute)>, Option<Minute>, Duration);

fn answers(view: &Sightings) -> Answers {
    let silent = view.silent(Duration::ZERO, minute(1_000_000)).collect();
    let stale_after = view.settings().values().stale_after;
    (silent, view.returning().collect(), view.longest_silence(), stale_after)
}

fn silent(view: &Sightings, at: u32) -> Vec<u8> {
    let silent = view.silent(HOUR, Minute(at).begin());
    silent.map(|(device, _)| u8::try_from(device.uuid().as_u128()).unwrap() - 1).collect()
}

#[test]
fn who_is_silent_for_longest_comes_first_and_every_sign_of_life_counts() {
    let events = [trusted(0, 10), trusted(1, 11), trusted(2, 12), trusted(3, 13)];
    let view = folded(&events);
    assert_eq!(view.longest_silence(), Some(Minute(10)));
    assert_eq!((silent(&view, 70), silent(&view, 71), silent(&view, 73)), (vec![], vec![0], vec![0, 1, 2]));
    let view = folded(events.iter().chain(&[seen(&[0, 1], 20), reported(2, 30)]));
    assert_eq!(silent(&view, 200), [3, 0, 1, 2]);
    assert_eq!(view.longest_silence(), Some(Minute(13)));
}

#[test]
fn devices_that_are_stale_or_gone_are_not_silent() {
    let events = [trusted(0, 10), trusted(1, 10), trusted(2, 10), removed(0, 11), went_stale(1, 10)];
    assert_eq!(silent(&folded(&events), 200), [2]);
    let again = [trusted(0, 50), returned(1, 60)];
    assert_eq!(silent(&folded(events.iter().chain(&again)), 200), [2, 0, 1]);
}

#[test]
fn a_stale_device_returns_with_the_next_sign_of_life_unless_it_is_gone() {
    let events = [trusted(0, 10), trusted(1, 10), went_stale(0, 10), went_stale(1, 10)];
    assert_eq!(folded(&events).returning().count(), 0);
    let back = [seen(&[0], 30), reported(1, 31)];
    let view = folded(events.iter().chain(&back));
    assert_eq!(view.returning().collect::<Vec<_>>(), [(device(0), Minute(30)), (device(1), Minute(31))]);
    let told = [removed(1, 40), returned(0, 30)];
    let view = folded(events.iter().chain(&back).chain(&told));
    assert_eq!(view.returning().count(), 0);
    assert_eq!(silent(&view, 200), [0]);
}

#[test]
fn ordinals_that_are_told_before_their_devices_wait_for_them() {
    let early = [seen(&[0, 1], 20), reported(0, 25), went_stale(0, 25)];
    let view = folded(&early);
    assert_eq!((silent(&view, 200), view.returning().count()), (vec![], 0));
    let view = folded(early.iter().chain(&[trusted(0, 5), trusted(1, 5)]));
    assert_eq!((silent(&view, 200), view.returning().count()), (vec![1], 0));
}

#[test]
fn a_moment_that_cannot_be_is_the_first_or_the_last_minute() {
    assert_eq!(Minute::of(Timestamp::from_micros(i64::MIN)), Minute(0));
    assert_eq!(Minute::of(Timestamp::from_micros(i64::MAX)), Minute(u32::MAX));
    assert!(Minute(u32::MAX).end() > Minute(u32::MAX).begin());
}

fn log() -> impl Strategy<Value = [Vec<Envelope>; 3]> {
    let number = || 0..DEVICES;
    let identity = prop::collection::vec(
        prop_oneof![
            (number(), 1_u32..90).prop_map(|(n, at)| trusted(n, at)),
            (number(), 1_u32..90).prop_map(|(n, at)| removed(n, at))
        ],
        0..20,
    );
    let ordinals = prop::collection::vec(0..u32::from(DEVICES), 0..4);
    let policy = prop::collection::vec((ordinals, 1_u32..90).prop_map(|(all, at)| seen(&all, at)), 0..20);
    let report = prop::collection::vec(
        prop_oneof![
            (number(), 1_u32..90).prop_map(|(n, at)| reported(n, at)),
            (number(), 1_u32..90).prop_map(|(n, at)| went_stale(n, at)),
            (number(), 1_u32..90).prop_map(|(n, at)| returned(n, at)),
            (2_u64..9).prop_map(|hours| changed(Duration::from_secs(hours * 3_600))),
        ],
        0..30,
    );
    (identity, policy, report).prop_map(|(identity, policy, report)| [identity, policy, report])
}

proptest! {
    /// Logs are delivered in any order against each other, events again, and rows come back from the store.
    #[test]
    fn the_order_of_the_logs_redelivery_and_a_restart_change_nothing(
        logs in log(),
        turns in prop::collection::vec(0_usize..3, 80),
    ) {
        let one_by_one = folded(logs.iter().flatten());
        let mut rest = logs.map(Vec::into_iter);
        let mut mixed = Vec::new();
        for turn in turns.into_iter().chain(0..3) {
            mixed.extend(rest[turn].next());
        }
        let rest = rest.into_iter().flatten();
        mixed.extend(rest);
        let view = folded(&mixed);
        prop_assert_eq!(ViewDigest::of(&view), ViewDigest::of(&one_by_one));
        prop_assert_eq!(answers(&view), answers(&one_by_one));
        let restored = restored(&view);
        prop_assert_eq!(ViewDigest::of(&restored), ViewDigest::of(&view));
        prop_assert_eq!(answers(&restored), answers(&view));
    }

    /// Rows that were written as they became dirty are the rows of the view.
    #[test]
    fn every_row_that_changed_is_marked(logs in log()) {
        let (mut view, mut rows) = (Sightings::default(), BTreeMap::new());
        for event in logs.iter().flatten() {
            let mut dirty = Dirty::default();
            view.apply(event, &mut dirty).unwrap();
            for key in dirty.keys() {
                match view.encode_row(key) {
                    Some(value) => rows.insert(key.to_vec(), value),
                    None => rows.remove(key),
                };
            }
        }
        let mut all = BTreeMap::new();
        view.row_keys(&mut |key| {
            all.insert(key.to_vec(), view.encode_row(key).unwrap());
        });
        prop_assert_eq!(rows, all);
    }
}
