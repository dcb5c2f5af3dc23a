//! The log on one machine: what it promises to survive.

mod damage;
mod full;
mod kill;
mod load;
mod open;
mod speed;
mod sync;

use muster_eventlog::chain::ChainVerifier;
use muster_eventlog::{Actor, Append, Context, Delivery, Envelope, EventLog, EventType, NewEvent, ReadError};
use muster_types::{Aggregate, EventId, Service, StreamId, TenantId, Timestamp, Version, id};

/// The stream of an aggregate with this number.
fn stream(aggregate: Aggregate, number: u64) -> StreamId {
    StreamId::new(TenantId::DEFAULT, aggregate, id::derive("stream", &[&number.to_be_bytes()]))
}

/// The id of the event that brings a stream to a version: a repeat brings the same one.
fn event_id(stream: StreamId, version: u64) -> EventId {
    EventId::from_uuid(id::derive(
        "event",
        &[&[stream.aggregate as u8], stream.id.as_bytes(), &version.to_be_bytes()],
    ))
}

/// An append of `count` events to a stream, with ids and payloads that follow from stream and version.
fn append(stream: StreamId, expected: u64, count: u64, payload_bytes: usize) -> Append {
    let events = (expected + 1..=expected + count).map(|version| NewEvent {
        id: event_id(stream, version),
        kind: EventType::new("muster.test.v1.SomethingHappened"),
        payload: event_id(stream, version).as_bytes().repeat(payload_bytes.div_ceil(16)).into(),
    });
    Append {
        stream,
        expected: Version(expected),
        events: events.collect(),
        context: Context {
            actor: Actor::service(stream.service()),
            time: Timestamp::from_micros(1_700_000_000_000_000),
            correlation_id: stream.id,
            causation_id: None,
            traceparent: None,
        },
    }
}

/// Everything a service's part of the log holds, checked for gaps and broken links.
async fn replay(log: &impl EventLog, service: Service) -> Result<Vec<Envelope>, ReadError> {
    let mut subscription = log.subscribe(service, 0).await?;
    let mut verifier = ChainVerifier::new(service, true);
    let mut all = Vec::new();
    while let Some(delivery) = subscription.next().await? {
        match delivery {
            Delivery::Events(events) => {
                events.iter().try_for_each(|event| verifier.check(event))?;
                all.extend(events);
            }
            Delivery::CaughtUp(_) => break,
        }
    }
    Ok(all)
}
