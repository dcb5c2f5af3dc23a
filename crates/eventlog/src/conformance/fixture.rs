//! What the cases append and read with.

use std::time::Duration;

use futures::future::try_join_all;
use muster_types::{Aggregate, EventId, Service, StreamId, TenantId, Timestamp, Version};
use uuid::Uuid;

use crate::log::SharedLog;
use crate::{
    Actor, Append, AppendError, Appended, Context, Delivery, Envelope, EventType, NewEvent, Subscription,
    command,
};

/// How long a delivery may take; a cluster that lost its leader needs some seconds.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn stream(aggregate: Aggregate) -> StreamId {
    StreamId::new(TenantId::DEFAULT, aggregate, Uuid::new_v4())
}

pub(super) fn event(text: &str) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(Uuid::new_v4()),
        kind: EventType::new("muster.conformance.v1.Happened"),
        payload: text.as_bytes().to_vec().into(),
    }
}

pub(super) fn context() -> Context {
    Context {
        actor: Actor::admin("Åsa \"100%\" Ek"),
        time: Timestamp::from_micros(1_700_000_000_123_456),
        correlation_id: Uuid::from_u128(7),
        causation_id: Some(EventId::from_uuid(Uuid::from_u128(8))),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

/// An append of events with these texts.
pub(super) fn append(stream: StreamId, expected: u64, texts: &[&str]) -> Append {
    let events = texts.iter().map(|text| event(text)).collect();
    Append { stream, expected: Version(expected), events, context: context() }
}

/// Appends, repeating what was not acknowledged.
pub(super) async fn surely(log: &SharedLog, appends: Vec<Append>) -> Result<Appended, AppendError> {
    command::append_surely(log, appends).await
}

/// Appends what must go through.
pub(super) async fn put(log: &SharedLog, append: Append) -> u64 {
    surely(log, vec![append]).await.expect("nothing stands against it").position
}

/// Appends `count` events one by one to each of `streams`, the streams side by side.
pub(super) async fn fill(log: &SharedLog, streams: &[StreamId], count: u64) {
    let one = |stream: StreamId| async move {
        for expected in 0..count {
            surely(log, vec![append(stream, expected, &["filled"])]).await?;
        }
        Ok::<_, AppendError>(())
    };
    try_join_all(streams.iter().map(|stream| one(*stream))).await.expect("nothing stands against it");
}

pub(super) async fn read(log: &SharedLog, stream: StreamId, after: u64) -> Vec<Envelope> {
    command::read_surely(|| log.read(stream, Version(after))).await.expect("the log can be read")
}

pub(super) async fn head(log: &SharedLog, service: Service) -> u64 {
    command::read_surely(|| log.head(service)).await.expect("the log can be read")
}

pub(super) async fn follow(log: &SharedLog, service: Service, after: u64) -> Subscription {
    command::read_surely(|| log.subscribe(service, after)).await.expect("the log can be followed")
}

pub(super) async fn delivery(subscription: &mut Subscription) -> Delivery {
    let delivery = tokio::time::timeout(DELIVERY_TIMEOUT, subscription.next()).await;
    delivery.expect("a delivery comes in time").expect("the log is sound").expect("the log is open")
}

/// Everything after a position, up to the first time the subscription has caught up with at least `until`.
pub(super) async fn collect(subscription: &mut Subscription, until: u64) -> Vec<Envelope> {
    let mut events = Vec::new();
    loop {
        match delivery(subscription).await {
            Delivery::Events(more) => {
                assert!(!more.is_empty(), "a delivery of no events");
                events.extend(more);
            }
            Delivery::CaughtUp(position) => {
                let last = events.last().map_or(position, |event: &Envelope| event.position);
                assert_eq!(position, last, "caught up with another position than the last delivered");
                if position >= until {
                    return events;
                }
            }
        }
    }
}

/// Everything in a service's part of the log.
pub(super) async fn whole(log: &SharedLog, service: Service) -> Vec<Envelope> {
    let until = head(log, service).await;
    collect(&mut follow(log, service, 0).await, until).await
}
