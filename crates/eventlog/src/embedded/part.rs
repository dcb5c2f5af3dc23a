//! One service's part of the log as readers see it: its head, and its last events in memory.

use std::collections::VecDeque;
use std::sync::Weak;

use muster_types::Service;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::Shared;
use super::record::Decoder;
use super::store::CHUNK_EVENTS_MAX;
use crate::log::Feed;
use crate::{Delivery, Envelope, ReadError};

/// Events, and bytes of payload, of one service kept in memory, so that those who follow it do not read the disk.
const RECENT_EVENTS_MAX: usize = 8_192;
const RECENT_BYTES_MAX: usize = 8 * 1_024 * 1_024;

#[derive(Debug)]
pub(super) struct Part {
    pub(super) head: watch::Sender<u64>,
    recent: RwLock<Recent>,
}

/// The last events, in order and without a gap.
#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<Envelope>,
    bytes: usize,
}

impl Part {
    pub(super) fn new(head: u64) -> Self {
        Self { head: watch::channel(head).0, recent: RwLock::default() }
    }

    /// Shows events that are on the disk to readers.
    pub(super) fn publish(&self, events: Vec<Envelope>) {
        let Some(head) = events.last().map(|event| event.position) else { return };
        self.recent.write().push(events);
        self.head.send_replace(head);
    }
}

impl Recent {
    fn push(&mut self, events: Vec<Envelope>) {
        self.bytes += events.iter().map(|event| event.payload.len()).sum::<usize>();
        self.events.extend(events);
        while self.events.len() > RECENT_EVENTS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.payload.len();
        }
    }

    /// Events after a position, as many as fit into a delivery; `None` when they are no longer here.
    fn after(&self, position: u64) -> Option<Vec<Envelope>> {
        let first = self.events.front()?.position;
        let skip = usize::try_from((position + 1).checked_sub(first)?).ok()?;
        let events: Vec<_> = self.events.iter().skip(skip).take(CHUNK_EVENTS_MAX).cloned().collect();
        (!events.is_empty()).then_some(events)
    }
}

/// Delivers what is there, then what comes, until the reader or the log is gone. Holds the log open only while it reads.
pub(super) async fn feed(
    shared: Weak<Shared>,
    service: Service,
    mut head: watch::Receiver<u64>,
    mut after: u64,
    sender: Feed,
) {
    let mut decoder = Decoder::default();
    loop {
        let target = *head.borrow_and_update();
        while after < target {
            let Some(events) = next(&shared, service, after, target, &mut decoder).await else { return };
            let failed = events.is_err();
            after = events.as_ref().ok().and_then(|events| events.last()).map_or(after, |last| last.position);
            if sender.send(events.map(Delivery::Events)).await.is_err() || failed {
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

/// The events after a position, from memory or else from the disk; `None` when the log is gone.
async fn next(
    shared: &Weak<Shared>,
    service: Service,
    after: u64,
    until: u64,
    decoder: &mut Decoder,
) -> Option<Result<Vec<Envelope>, ReadError>> {
    let shared = shared.upgrade()?;
    if let Some(events) = shared.part(service).recent.read().after(after) {
        return Some(Ok(events));
    }
    let mut reader = std::mem::take(decoder);
    let reading = tokio::task::spawn_blocking(move || {
        let events = shared.store.chunk(service, after, until, &mut reader);
        (events, reader)
    });
    match reading.await {
        Ok((events, reader)) => {
            *decoder = reader;
            Some(events)
        }
        Err(error) => Some(Err(ReadError::Unavailable { reason: error.to_string() })),
    }
}
