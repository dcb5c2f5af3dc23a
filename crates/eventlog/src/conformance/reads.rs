//! Promises about reading and following.

use std::collections::HashMap;

use futures::future::join;
use muster_types::{Aggregate, Service, StreamId, Version};

use super::fixture::{append, collect, delivery, fill, follow, head, put, read, stream, whole};
use crate::chain::ChainVerifier;
use crate::log::SharedLog;
use crate::{Delivery, Envelope, ReadError};

/// Streams that are written side by side.
const STREAMS: usize = 8;
/// Events in each.
const EVENTS: u64 = 12;
/// Appends of many large events, more than all that is kept for a reader.
const LARGE_APPENDS: u64 = 24;
const LARGE_EVENTS: u16 = 100;
const LARGE_BYTES: usize = 8 * 1_024;

fn streams(aggregate: Aggregate) -> Vec<StreamId> {
    (0..STREAMS).map(|_| stream(aggregate)).collect()
}

/// Whoever follows a part in which nothing is, is told at once that there is nothing.
///
/// # Panics
/// When not. The part of service `report` must be empty.
pub async fn an_empty_part_is_caught_up_with_at_once(log: &SharedLog) {
    assert_eq!(head(log, Service::Report).await, 0);
    let mut subscription = follow(log, Service::Report, 0).await;
    assert_eq!(delivery(&mut subscription).await, Delivery::CaughtUp(0));
    let stream = stream(Aggregate::DeviceStatus);
    assert!(read(log, stream, 0).await.is_empty());
    let position = put(log, append(stream, 0, &["the first"])).await;
    let events = collect(&mut subscription, position).await;
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [position]);
}

/// A stream read after any version brings the rest, and everything acknowledged before the call.
///
/// # Panics
/// When something is missing or out of place.
pub async fn a_read_brings_what_was_acknowledged(log: &SharedLog) {
    let stream = stream(Aggregate::Policy);
    for expected in 0..40 {
        put(log, append(stream, expected, &["acknowledged"])).await;
        assert_eq!(read(log, stream, expected).await.len(), 1);
    }
    for after in [0, 1, 20, 39, 40, 41, 1_000] {
        let versions: Vec<_> = read(log, stream, after).await.iter().map(|event| event.version.0).collect();
        assert_eq!(versions, (after + 1..=40).collect::<Vec<_>>());
    }
}

/// A service's part holds its own events and no other's.
///
/// # Panics
/// When not.
pub async fn services_do_not_see_each_other(log: &SharedLog) {
    put(log, append(stream(Aggregate::Group), 0, &["of identity"])).await;
    let before = head(log, Service::Report).await;
    put(log, append(stream(Aggregate::Registration), 0, &["of identity"])).await;
    assert_eq!(head(log, Service::Report).await, before);
    for service in Service::ALL {
        assert!(whole(log, service).await.iter().all(|event| event.stream.service() == service));
    }
}

/// Everybody sees one order, in which positions rise, and each stream's versions and hashes follow one another.
///
/// # Panics
/// When not.
pub async fn everybody_sees_one_order(log: &SharedLog, contiguous: bool) {
    let mut early = follow(log, Service::Identity, 0).await;
    fill(log, &streams(Aggregate::Group), EVENTS).await;
    let until = head(log, Service::Identity).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Envelope| last.position < until) {
        if let Delivery::Events(events) = delivery(&mut early).await {
            seen.extend(events);
        }
    }
    assert_eq!(seen, whole(log, Service::Identity).await);
    let mut verifier = ChainVerifier::new(Service::Identity, contiguous);
    for event in &seen {
        verifier.check(event).expect("the chain is whole");
    }
}

/// A subscription after a position brings exactly what comes after it: from the beginning, the middle and the end.
///
/// # Panics
/// When it brings more, less or something else.
pub async fn a_subscription_begins_after_any_position(log: &SharedLog) {
    fill(log, &streams(Aggregate::Registration), EVENTS).await;
    let all = whole(log, Service::Identity).await;
    let last = all.len() - 1;
    for index in [0, 1, last / 3, last / 2, last - 1, last] {
        let mut subscription = follow(log, Service::Identity, all[index].position).await;
        let rest = collect(&mut subscription, all[last].position).await;
        assert_eq!(rest, all[index + 1..]);
    }
}

/// Whoever catches up while others append gets every event once, and then what comes.
///
/// # Panics
/// When one is missing, doubled or out of place.
pub async fn catching_up_passes_into_following(log: &SharedLog) {
    fill(log, &streams(Aggregate::Assignment), EVENTS).await;
    let appending = async {
        let streams = streams(Aggregate::Policy);
        fill(log, &streams, EVENTS * 2).await;
        put(log, append(streams[0], EVENTS * 2, &["the last"])).await
    };
    let following = async {
        let mut subscription = follow(log, Service::Policy, 0).await;
        let mut events = Vec::new();
        loop {
            if let Delivery::Events(more) = delivery(&mut subscription).await {
                events.extend(more);
            }
            if events.last().is_some_and(|event: &Envelope| event.payload == "the last".as_bytes()) {
                return events;
            }
        }
    };
    let (last, events) = join(appending, following).await;
    assert_eq!(events.last().map(|event| event.position), Some(last));
    assert!(events.is_sorted_by(|one, next| one.position < next.position));
    let mut versions: HashMap<StreamId, Version> = HashMap::new();
    for event in &events {
        let version = versions.entry(event.stream).or_default();
        assert_eq!(event.version, version.next(), "stream {}", event.stream);
        *version = event.version;
    }
    assert_eq!(events, whole(log, Service::Policy).await);
}

/// Whoever follows and does not read holds up neither appends nor other readers, and lacks nothing when it reads on.
///
/// # Panics
/// When it does, or lacks something.
pub async fn a_reader_that_stalls_holds_up_nobody(log: &SharedLog) {
    let stream = stream(Aggregate::Policy);
    let text = "x".repeat(LARGE_BYTES);
    let from = head(log, Service::Policy).await;
    let mut stalled = follow(log, Service::Policy, from).await;
    let mut reading = follow(log, Service::Policy, from).await;
    let texts = vec![&*text; usize::from(LARGE_EVENTS)];
    let appending = async {
        let mut position = from;
        for n in 0..LARGE_APPENDS {
            position = put(log, append(stream, n * u64::from(LARGE_EVENTS), &texts)).await;
        }
        position
    };
    // Positions may have gaps: so many events end here or later.
    let last = from + LARGE_APPENDS * u64::from(LARGE_EVENTS);
    let (position, mut read) = join(appending, collect(&mut reading, last)).await;
    if position > last {
        read.extend(collect(&mut reading, position).await);
    }
    assert_eq!(read.len() as u64, LARGE_APPENDS * u64::from(LARGE_EVENTS));
    assert_eq!(collect(&mut stalled, position).await, read, "who stalled saw another log");
}

/// Whoever checks the chain notices when an event is changed, left out or put elsewhere.
///
/// # Panics
/// When it is not noticed.
pub async fn a_broken_chain_is_noticed(log: &SharedLog, contiguous: bool) {
    let stream = stream(Aggregate::DeviceStatus);
    for expected in 0..4 {
        put(log, append(stream, expected, &["linked"])).await;
    }
    let sound = whole(log, Service::Report).await;
    let second = sound.len() - 3;
    let check = |events: &[Envelope]| {
        let mut verifier = ChainVerifier::new(Service::Report, contiguous);
        events.iter().try_for_each(|event| verifier.check(event))
    };
    check(&sound).expect("the chain is whole");
    let broken = |spoil: fn(&mut Vec<Envelope>, usize)| {
        let mut events = sound.clone();
        spoil(&mut events, second);
        assert!(matches!(check(&events), Err(ReadError::Corrupt { .. })), "not noticed");
    };
    broken(|events, at| events[at].payload = "forged".as_bytes().into());
    broken(|events, at| drop(events.remove(at)));
    broken(|events, at| events.swap(at, at + 1));
}
