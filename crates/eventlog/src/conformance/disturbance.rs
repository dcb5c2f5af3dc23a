//! Appends and follows while the caller disturbs what the log is made of.

use std::collections::{HashMap, HashSet};
use std::future::Future;

use futures::future::{join, join_all};
use muster_types::{Aggregate, EventId, Service, StreamId};
use tokio::sync::watch;

use super::fixture::{append, delivery, follow, head, stream, whole};
use crate::chain::ChainVerifier;
use crate::log::SharedLog;
use crate::{AppendError, Delivery, Envelope};

/// Writers, two to a stream, so that they also conflict.
const WRITERS: usize = 6;
/// Events a writer brings at once, now and then.
const TOGETHER: [&str; 3] = ["a", "b", "c"];

/// What happened under disturbance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disturbed {
    /// Events that were acknowledged; all of them are in the log, once.
    pub acknowledged: usize,
    /// Appends whose outcome was unknown at first.
    pub unknown: usize,
    /// Appends that lost a race.
    pub conflicts: usize,
}

/// Writers append and a reader follows until `disturb` is done. Nothing acknowledged may be lost, nothing doubled, no
/// chain broken, and the reader that was there all the time has seen the same as one that comes after.
///
/// # Panics
/// When that is not so.
pub async fn under_disturbance(log: &SharedLog, disturb: impl Future<Output = ()>) -> Disturbed {
    let streams: Vec<_> = (0..WRITERS / 2).map(|_| stream(Aggregate::Group)).collect();
    let (stop, stopped) = watch::channel(false);
    let from = head(log, Service::Identity).await;
    let (end, until) = watch::channel(None);
    let writing = async {
        let writers = (0..WRITERS).map(|number| write(log, streams[number / 2], number, stopped.clone()));
        let disturbing = async {
            disturb.await;
            stop.send_replace(true);
        };
        let (written, ()) = join(join_all(writers), disturbing).await;
        end.send_replace(Some(head(log, Service::Identity).await));
        written
    };
    let (written, seen) = join(writing, follow_until(log, from, until)).await;
    let events = whole(log, Service::Identity).await;
    assert_eq!(seen, events[events.len() - seen.len()..], "two readers saw different logs");
    let mut verifier = ChainVerifier::new(Service::Identity, false);
    for event in &events {
        verifier.check(event).expect("the chain is whole");
    }
    judge(&written, &events)
}

fn judge(written: &[Written], events: &[Envelope]) -> Disturbed {
    let mut places: HashMap<EventId, u64> = HashMap::new();
    for event in events {
        let twice = places.insert(event.event_id, event.position);
        assert_eq!(twice, None, "event {} is there twice", event.event_id);
    }
    let mut sum = Disturbed::default();
    let mut refused = HashSet::new();
    for one in written {
        for (id, position) in &one.acknowledged {
            let place = places.get(id).copied();
            assert_eq!(place, Some(*position), "event {id} was acknowledged at {position}");
        }
        refused.extend(one.refused.iter().copied());
        sum.acknowledged += one.acknowledged.len();
        sum.unknown += one.unknown;
        sum.conflicts += one.conflicts;
    }
    let ghosts: Vec<_> = refused.iter().filter(|id| places.contains_key(id)).collect();
    assert!(ghosts.is_empty(), "refused, yet in the log: {ghosts:?}");
    sum
}

#[derive(Default)]
struct Written {
    /// The last event of each append, and where it was said to be.
    acknowledged: Vec<(EventId, u64)>,
    /// Events of appends that were refused as conflicts.
    refused: Vec<EventId>,
    unknown: usize,
    conflicts: usize,
}

async fn write(log: &SharedLog, stream: StreamId, number: usize, stopped: watch::Receiver<bool>) -> Written {
    let mut written = Written::default();
    let mut expected = 0;
    while !*stopped.borrow() {
        let together = number == 0 && written.acknowledged.len() % 8 == 7;
        let next = append(stream, expected, if together { &TOGETHER } else { &["one"] });
        let last = next.events[next.events.len() - 1].id;
        loop {
            match log.append(vec![next.clone()]).await {
                Ok(appended) => {
                    written.acknowledged.push((last, appended.position));
                    expected += next.events.len() as u64;
                }
                Err(AppendError::Conflict { found, .. }) => {
                    written.conflicts += 1;
                    written.refused.extend(next.events.iter().map(|event| event.id));
                    expected = found.0;
                }
                Err(AppendError::Unknown { .. }) => {
                    written.unknown += 1;
                    continue;
                }
                Err(error) => panic!("an append was refused: {error}"),
            }
            break;
        }
    }
    written
}

async fn follow_until(log: &SharedLog, from: u64, mut until: watch::Receiver<Option<u64>>) -> Vec<Envelope> {
    let mut subscription = follow(log, Service::Identity, from).await;
    let mut events: Vec<Envelope> = Vec::new();
    loop {
        let reached = events.last().map_or(from, |event| event.position);
        if until.borrow_and_update().is_some_and(|until| until <= reached) {
            return events;
        }
        tokio::select! {
            delivery = delivery(&mut subscription) => if let Delivery::Events(more) = delivery {
                events.extend(more);
            },
            _ = until.changed() => {}
        }
    }
}
