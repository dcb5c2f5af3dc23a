//! A log in memory, for tests: the plainest thing that keeps the promises of [`EventLog`].

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use muster_types::{Digest, Service, StreamId, Version};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::envelope::PAYLOAD_BYTES_MAX;
use crate::log::{APPEND_EVENTS_MAX, Feed};
use crate::{Append, AppendError, Appended, Delivery, Envelope, EventLog, ReadError, Subscription};

/// Events in one delivery of a subscription.
const DELIVERY_EVENTS_MAX: usize = 1_024;

/// A log that lives as long as its process.
#[derive(Debug)]
pub struct MemoryLog {
    parts: [Arc<Part>; 4],
}

#[derive(Debug)]
struct Part {
    inner: Mutex<Inner>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Envelope>,
    streams: HashMap<StreamId, Vec<usize>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            parts: std::array::from_fn(|_| {
                Arc::new(Part { inner: Mutex::default(), head: watch::channel(0).0 })
            }),
        }
    }
}

impl MemoryLog {
    fn part(&self, service: Service) -> &Arc<Part> {
        &self.parts[service as usize - 1]
    }

    fn append_now(&self, appends: &[Append]) -> Result<Appended, AppendError> {
        let service = check(appends)?;
        let part = self.part(service);
        let mut inner = part.inner.lock();
        if let Some(position) = inner.repeated(appends) {
            return Ok(Appended { position });
        }
        for append in appends {
            let found = inner.version(append.stream);
            if found != append.expected {
                return Err(AppendError::Conflict {
                    stream: append.stream,
                    expected: append.expected,
                    found,
                });
            }
        }
        for append in appends {
            inner.push(append);
        }
        let position = inner.events.len() as u64;
        part.head.send_replace(position);
        Ok(Appended { position })
    }
}

/// Checks what every engine checks before it writes, and tells whose part of the log the append is for.
///
/// # Errors
/// [`AppendError::Invalid`] for an empty append, a stream named twice, streams of different services or too many
/// events; [`AppendError::TooLarge`] for a payload over the limit.
pub fn check(appends: &[Append]) -> Result<Service, AppendError> {
    let invalid = |reason: &str| AppendError::Invalid { reason: reason.to_owned() };
    let first = appends.first().ok_or_else(|| invalid("it holds nothing"))?;
    let service = first.stream.service();
    let mut count = 0;
    for (i, append) in appends.iter().enumerate() {
        if append.events.is_empty() {
            return Err(invalid("it names a stream without events"));
        }
        if append.stream.service() != service {
            return Err(invalid("its streams belong to different services"));
        }
        if appends[..i].iter().any(|other| other.stream == append.stream) {
            return Err(invalid("it names a stream twice"));
        }
        count += append.events.len();
        for event in &append.events {
            if event.payload.len() > PAYLOAD_BYTES_MAX {
                return Err(AppendError::TooLarge { found: event.payload.len(), max: PAYLOAD_BYTES_MAX });
            }
        }
    }
    if count > APPEND_EVENTS_MAX {
        return Err(AppendError::Invalid {
            reason: format!("it holds {count} events, the limit is {APPEND_EVENTS_MAX}"),
        });
    }
    Ok(service)
}

impl Inner {
    fn version(&self, stream: StreamId) -> Version {
        Version(self.streams.get(&stream).map_or(0, |events| events.len() as u64))
    }

    fn at(&self, stream: StreamId, version: Version) -> Option<&Envelope> {
        let index = usize::try_from(version.0.checked_sub(1)?).ok()?;
        self.streams.get(&stream)?.get(index).map(|at| &self.events[*at])
    }

    /// Position of the append's last event when all of it is already there.
    fn repeated(&self, appends: &[Append]) -> Option<u64> {
        let mut last = 0;
        for append in appends {
            for (version, event) in (append.expected.0 + 1..).zip(&append.events) {
                let stored = self.at(append.stream, Version(version))?;
                if stored.event_id != event.id {
                    return None;
                }
                last = stored.position.max(last);
            }
        }
        Some(last)
    }

    fn push(&mut self, append: &Append) {
        for event in &append.events {
            let version = self.version(append.stream);
            let prev_hash = self.at(append.stream, version).map_or(Digest::default(), Envelope::hash);
            let envelope = Envelope {
                position: self.events.len() as u64 + 1,
                event_id: event.id,
                stream: append.stream,
                version: version.next(),
                kind: event.kind.clone(),
                context: append.context.clone(),
                prev_hash,
                payload: event.payload.clone(),
            };
            self.streams.entry(append.stream).or_default().push(self.events.len());
            self.events.push(envelope);
        }
    }
}

/// Delivers what is there, then what comes, until the reader or the log is gone.
async fn feed(part: Weak<Part>, mut head: watch::Receiver<u64>, mut after: u64, sender: Feed) {
    loop {
        let target = *head.borrow_and_update();
        while after < target {
            let Some(part) = part.upgrade() else { return };
            let events: Vec<_> = {
                let inner = part.inner.lock();
                let skip = usize::try_from(after).unwrap_or(usize::MAX);
                inner.events.iter().skip(skip).take(DELIVERY_EVENTS_MAX).cloned().collect()
            };
            drop(part);
            after = events.last().map_or(target, |last| last.position);
            if sender.send(Ok(Delivery::Events(events))).await.is_err() {
                return;
            }
        }
        if sender.send(Ok(Delivery::CaughtUp(after))).await.is_err() {
            return;
        }
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}

impl EventLog for MemoryLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move { self.append_now(&appends) })
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        Box::pin(async move {
            let inner = self.part(stream.service()).inner.lock();
            let events = inner.streams.get(&stream).map_or(&[][..], Vec::as_slice);
            let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
            Ok(events.iter().skip(skip).map(|at| inner.events[*at].clone()).collect())
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the feeding task ends with the subscription or the log")]
    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        let (sender, subscription) = Subscription::channel();
        let feed =
            feed(Arc::downgrade(self.part(service)), self.part(service).head.subscribe(), after, sender);
        tokio::spawn(feed);
        Box::pin(async move { Ok(subscription) })
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        Box::pin(async move { Ok(*self.part(service).head.borrow()) })
    }
}
