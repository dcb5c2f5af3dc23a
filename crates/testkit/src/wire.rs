//! Checks of what services write into the log: that it can be read again, in every form that ever shipped.

use std::fmt::Debug;
use std::path::Path;

use muster_eventlog::command::State;
use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_types::{EventId, StreamId, TenantId, Timestamp, Version};
use uuid::Uuid;

/// When the events of [`envelope`] happen.
pub const AT: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
/// The request that led to the events of [`envelope`].
pub const REQUEST: Uuid = Uuid::from_u128(77);

/// A payload as the log gives it, the first of its stream.
#[must_use]
pub fn envelope<S: State>(kind: EventType, payload: Vec<u8>) -> Envelope {
    Envelope {
        position: 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream: StreamId::new(TenantId::DEFAULT, S::AGGREGATE, Uuid::nil()),
        version: Version(1),
        kind,
        context: Context {
            actor: Actor::admin("ada"),
            time: AT,
            correlation_id: REQUEST,
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}

/// Checks that events come out of the log as they went in.
///
/// # Panics
/// When one does not.
pub fn round_trips<S: State>(events: Vec<S::Event>)
where
    S::Event: Debug + PartialEq,
{
    for event in events {
        let (kind, payload) = S::encode(&event);
        assert_eq!(S::decode(&envelope::<S>(kind, payload)), Ok(Some(event)));
    }
}

/// Checks that payloads as they were first written still decode to these events: `<event>.v1.bin` in the folder
/// `golden`, checked in once and never written again. A new event's sample is recorded by the first run, which fails.
///
/// # Panics
/// When a sample decodes to something else, or was missing.
pub fn samples_decode<S: State>(golden: impl AsRef<Path>, events: Vec<S::Event>)
where
    S::Event: Debug + PartialEq,
{
    samples_of_form_decode::<S>(golden, 1, events);
}

/// [`samples_decode`] of a later form of the same events, one with more fields: `<event>.v<form>.bin`.
///
/// # Panics
/// As [`samples_decode`].
pub fn samples_of_form_decode<S: State>(golden: impl AsRef<Path>, form: u32, events: Vec<S::Event>)
where
    S::Event: Debug + PartialEq,
{
    let mut recorded = Vec::new();
    for event in events {
        let (kind, payload) = S::encode(&event);
        let path = golden.as_ref().join(format!("{}.v{form}.bin", kind.short()));
        let sample = std::fs::read(&path).unwrap_or_else(|_| {
            std::fs::write(&path, &payload).expect("the folder of samples is there");
            recorded.push(path);
            payload
        });
        assert_eq!(S::decode(&envelope::<S>(kind, sample)), Ok(Some(event)));
    }
    assert!(recorded.is_empty(), "recorded, check them in: {recorded:?}");
}
