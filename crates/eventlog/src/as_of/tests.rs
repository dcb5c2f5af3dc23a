use std::time::Duration;

use bytes::Bytes;
use muster_types::{Aggregate, EventId, FixedClock, StreamId, TenantId, Version};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::kv::MemoryKv;
use crate::memory::MemoryLog;
use crate::project::{Dirty, View as _};
use crate::{Actor, Append, Context, EventLog as _, EventType, NewEvent};

const NOW: i64 = 1_000;

const AGGREGATES: [Aggregate; 4] =
    [Aggregate::Enrollment, Aggregate::Registration, Aggregate::Policy, Aggregate::DeviceStatus];

/// Events by log, with their times.
async fn log(events: &[(usize, i64)]) -> SharedLog {
    let log = MemoryLog::default();
    for (number, (part, time)) in (1..).zip(events) {
        let stream = StreamId::new(TenantId::DEFAULT, AGGREGATES[*part], Uuid::from_u128(number));
        let event = NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(number)),
            kind: EventType::new("toy"),
            payload: Bytes::new(),
        };
        let context = Context {
            actor: Actor::admin("ada"),
            time: Timestamp::from_micros(*time),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        };
        let append = Append { stream, expected: Version::NONE, events: vec![event], context };
        log.append(vec![append]).await.expect("appended");
    }
    Arc::new(log)
}

/// Asks while the logs are followed.
async fn asked(log: &SharedLog, index: fn() -> Index, as_of: &[pb::AsOf]) -> Vec<Result<Option<Cut>, Fault>> {
    let clock = Arc::new(FixedClock::at(Timestamp::from_micros(NOW)));
    let kv = Arc::new(MemoryKv::default());
    let (projected, following) = project::start(log.clone(), kv, index, std::future::pending());
    let moments = Moments { log: log.clone(), clock, index: projected };
    let asking = async {
        let mut answers = Vec::new();
        for as_of in as_of {
            answers.push(moments.resolve(as_of).await);
        }
        answers
    };
    tokio::select! {
        answers = asking => answers,
        () = following => unreachable!("it follows for ever"),
    }
}

fn time(time: i64) -> pb::AsOf {
    Moment::Time(Timestamp::from_micros(time)).into()
}

fn token(text: &str) -> pb::AsOf {
    pb::AsOf { at: Some(pb::as_of::At::Position(text.to_owned())) }
}

fn cut(positions: &str, time: i64) -> Result<Option<Cut>, Fault> {
    let positions = positions.parse().expect("a token");
    Ok(Some(Cut { positions, time: Timestamp::from_micros(time) }))
}

const STORY: [(usize, i64); 6] = [(0, 10), (1, 20), (2, 30), (2, 25), (0, 40), (2, 50)];

#[tokio::test]
async fn a_time_cuts_each_log_after_what_was_decided_by_then() {
    let log = log(&STORY).await;
    let asks = [time(10), time(29), time(30), time(49), time(NOW), pb::AsOf::default()];
    let answers = asked(&log, Index::default, &asks).await;
    let expected = [
        cut("enroll:1", 10),
        cut("enroll:1,identity:1", 20),
        cut("enroll:1,identity:1,policy:2", 30),
        cut("enroll:2,identity:1,policy:2", 40),
        cut("enroll:2,identity:1,policy:3", 50),
        Ok(None),
    ];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn a_token_cuts_the_logs_it_names_there_and_the_others_by_its_time() {
    let log = log(&STORY).await;
    let asks = [token("policy:1"), token("policy:2"), token("enroll:1"), token("enroll:1,policy:3")];
    let answers = asked(&log, Index::default, &asks).await;
    let expected = [
        cut("enroll:1,identity:1,policy:1", 30),
        cut("enroll:1,identity:1,policy:2", 30),
        cut("enroll:1", 10),
        cut("enroll:1,identity:1,policy:3", 50),
    ];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn what_is_no_moment_of_the_log_is_refused_with_the_bounds() {
    let log = log(&STORY).await;
    let asks = [
        time(9),
        time(NOW + 1),
        time(i64::MIN),
        token("policy:4"),
        token(""),
        token("policy:0"),
        token("pol"),
    ];
    let answers = asked(&log, Index::default, &asks).await;
    let messages: Vec<_> = answers
        .into_iter()
        .map(|answer| {
            let fault = answer.expect_err("no moment of the log");
            assert_eq!(fault.code, ErrorCode::AsOfInvalid);
            fault.message
        })
        .collect();
    for (message, part) in messages.iter().zip([
        "1970-01-01T00:00:00.000009Z is before the beginning: the first event is of 1970-01-01T00:00:00.000010Z",
        "is in the future: the first event is of",
        "is before the beginning",
        "policy:4 is beyond the end of the log, which is policy:3",
        "names no position",
        "names no position",
        "not a position token",
    ]) {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn an_empty_log_has_no_past() {
    let log = log(&[]).await;
    let answers = asked(&log, Index::default, &[time(5), token("policy:1")]).await;
    assert!(
        answers.iter().all(|answer| matches!(answer, Err(fault) if fault.code == ErrorCode::AsOfInvalid))
    );
}

#[test]
fn moments_are_read_as_they_are_written() {
    for text in ["2026-03-01T12:00:00.000000Z", "policy:7", "enroll:3,policy:7"] {
        assert_eq!(text.parse::<Moment>().map(|moment| moment.to_string()).as_deref(), Ok(text));
    }
    for bad in ["", "yesterday", "policy", "policy:0", "-1", "2026-13-01T00:00:00Z"] {
        assert!(bad.parse::<Moment>().is_err(), "{bad:?} passed");
    }
}

/// The plainest answer: all events of a log, from its beginning.
fn plainly(events: &[(usize, i64)], is_in: impl Fn(usize, u64, i64) -> bool) -> Cut {
    let mut cut = Cut { positions: Positions::ZERO, time: Timestamp::from_micros(i64::MIN) };
    for (part, service) in Service::ALL.into_iter().enumerate() {
        let of_log = events.iter().filter(|(of, _)| *of == part);
        let mut latest = i64::MIN;
        for (position, (_, time)) in (1..).zip(of_log) {
            latest = latest.max(*time);
            if is_in(part, position, latest) {
                cut.positions.advance(service, position);
                cut.time = cut.time.max(Timestamp::from_micros(latest));
            }
        }
    }
    cut
}

fn any_events() -> impl Strategy<Value = Vec<(usize, i64)>> {
    prop::collection::vec((0..4_usize, 0..60_i64), 1..80)
}

proptest! {
    #[test]
    fn sampling_changes_no_answer(events in any_events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let times: Vec<_> = (0..=61).collect();
        let counts = |part| events.iter().filter(|(of, _)| *of == part).count() as u64;
        let named: Vec<_> = (1..=counts(2)).collect();
        let tokens = named.iter().map(|position| token(&format!("policy:{position}")));
        let asks: Vec<_> = times.iter().map(|at| time(*at)).chain(tokens).collect();
        let answers = runtime.block_on(async {
            let log = log(&events).await;
            asked(&log, || Index::sampled(3, 4), &asks).await
        });
        let first = Service::ALL.into_iter().enumerate();
        let first = first.filter_map(|(part, _)| events.iter().find(|(of, _)| *of == part)).map(|(_, time)| *time);
        let first = first.min().expect("there are events");
        for (at, answer) in times.iter().zip(&answers) {
            if *at < first {
                prop_assert!(answer.is_err());
            } else {
                prop_assert_eq!(answer, &Ok(Some(plainly(&events, |_, _, latest| latest <= *at))));
            }
        }
        for (position, answer) in named.iter().zip(&answers[times.len()..]) {
            let own = plainly(&events, |part, at, _| part == 2 && at <= *position);
            let others = plainly(&events, |part, _, latest| {
                part != 2 && Timestamp::from_micros(latest) <= own.time
            });
            let positions = own.positions.join(others.positions);
            prop_assert_eq!(answer, &Ok(Some(Cut { positions, time: own.time })));
        }
    }

    #[test]
    fn what_is_stored_brings_the_samples_back(events in any_events(), part in 0..80_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let all: Vec<Envelope> = runtime.block_on(async {
            let log = log(&events).await;
            let mut all = Vec::new();
            for service in Service::ALL {
                let head = log.head(service).await.expect("a head");
                let mut source = Source::new(log.clone(), service, 0, "test");
                while all.iter().filter(|event: &&Envelope| event.stream.service() == service).count() as u64 != head {
                    if let Delivery::Events(events) = source.next().await.expect("events") {
                        all.extend(events);
                    }
                }
            }
            all
        });
        let fresh = || Index::sampled(2, 3);
        let (mut whole, mut stored) = (fresh(), fresh());
        let mut dirty = Dirty::everything();
        let part = part.min(all.len());
        all.iter().for_each(|event| whole.apply(event, &mut dirty).expect("folded"));
        all[..part].iter().for_each(|event| stored.apply(event, &mut dirty).expect("folded"));
        let mut again = fresh();
        let before = rows(&stored);
        before.iter().for_each(|(key, value)| again.load_row(key, value).expect("loaded"));
        all[part..].iter().for_each(|event| again.apply(event, &mut dirty).expect("folded"));
        prop_assert_eq!(rows(&again), rows(&whole));
        prop_assert!(whole.parts_max() <= 3);
    }
}

fn rows(index: &Index) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = std::collections::BTreeMap::new();
    index.row_keys(&mut |key| {
        rows.insert(key.to_vec(), index.encode_row(key).expect("a row"));
    });
    rows
}

#[tokio::test(start_paused = true)]
async fn who_asks_before_the_logs_are_read_is_told_so() {
    let log = log(&STORY).await;
    let clock = Arc::new(FixedClock::at(Timestamp::from_micros(NOW)));
    let (moments, following) =
        Moments::start(log.clone(), Arc::new(MemoryKv::default()), clock, std::future::pending());
    let started = tokio::time::Instant::now();
    let fault = moments.resolve(&time(30)).await.expect_err("nobody follows");
    assert_eq!(fault.code, ErrorCode::ViewBehind);
    assert!(started.elapsed() <= project::WAIT_MAX + Duration::from_millis(10));
    drop(following);
}
