//! The one writer: takes all appends that wait, writes them together, syncs once, then answers each.

use std::sync::Arc;

use muster_types::{EventId, StreamId, Version};
use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Shared;
use super::dir::Acknowledged;
use super::heads::{Head, Heads};
use super::record::Decoder;
use super::store::{Batch, WriteError};
use crate::{Append, AppendError, Appended, Envelope, ReadError};

/// Most events, and bytes of payload, that share one sync. An append larger than that has one of its own.
const GROUP_EVENTS_MAX: usize = 8_192;
const GROUP_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Most that a byte of payload takes on the disk until compaction has settled: journal, table, and a table being merged.
const DISK_BYTES_PER_BYTE: u64 = 3;
/// The same for what is not payload: the record's head, the index.
const DISK_BYTES_PER_EVENT: u64 = 3 * 512;

/// An append that waits.
pub(super) struct Job {
    pub(super) appends: Vec<Append>,
    pub(super) answer: oneshot::Sender<Result<Appended, AppendError>>,
    /// Its share of what may wait; given back with the answer.
    pub(super) room: OwnedSemaphorePermit,
}

impl Job {
    fn events(&self) -> usize {
        self.appends.iter().map(|append| append.events.len()).sum()
    }

    fn bytes(&self) -> usize {
        self.appends.iter().flat_map(|append| &append.events).map(|event| event.payload.len()).sum()
    }
}

/// Owns the right to write.
pub(super) struct Writer {
    shared: Arc<Shared>,
    acknowledged: Acknowledged,
    heads: Heads,
    /// Last position of each service, written or about to be.
    positions: [u64; 4],
    decoder: Decoder,
    /// Why nothing is written any more.
    stopped: Option<String>,
}

/// What shares one sync.
struct Group<'a> {
    batch: Batch<'a>,
    events: [Vec<Envelope>; 4],
    /// Where its events are: a repeat may wait in the same group.
    fresh: FxHashMap<(StreamId, Version), (EventId, u64)>,
    has_room: bool,
}

type Answer = (Result<Appended, AppendError>, oneshot::Sender<Result<Appended, AppendError>>);

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, acknowledged: Acknowledged, positions: [u64; 4]) -> Self {
        Self {
            shared,
            acknowledged,
            heads: Heads::default(),
            positions,
            decoder: Decoder::default(),
            stopped: None,
        }
    }

    /// Writes until the log is dropped and the queue is empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let (mut events, mut bytes) = (first.events(), first.bytes());
            let mut jobs = vec![first];
            while events < GROUP_EVENTS_MAX && bytes < GROUP_BYTES_MAX {
                let Ok(next) = queue.try_recv() else { break };
                events += next.events();
                bytes += next.bytes();
                jobs.push(next);
            }
            self.serve(jobs, events, bytes);
        }
    }

    fn serve(&mut self, jobs: Vec<Job>, events: usize, bytes: usize) {
        if let Some(reason) = &self.stopped {
            for job in jobs {
                reply(job.answer, Err(AppendError::ReadOnly { reason: reason.clone() }));
            }
            return;
        }
        let shared = self.shared.clone();
        let mut group = Group {
            batch: shared.store.batch(events),
            events: Default::default(),
            fresh: FxHashMap::default(),
            has_room: shared.has_room(disk_bytes(events, bytes)),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        let mut rooms = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push((self.take(&mut group, &job.appends), job.answer));
            rooms.push(job.room);
        }
        match self.write(group) {
            Ok(()) => answers.into_iter().for_each(|(answer, to)| reply(to, answer)),
            Err(error) => self.stop(answers, error),
        }
    }

    /// Decides about one append, and puts its events into the group.
    fn take(&mut self, group: &mut Group<'_>, appends: &[Append]) -> Result<Appended, AppendError> {
        let mut conflict = None;
        let mut heads = Vec::with_capacity(appends.len());
        for append in appends {
            let head = self.head(append.stream).map_err(|error| self.unreadable(&error))?;
            if head.version != append.expected {
                let Append { stream, expected, .. } = *append;
                conflict = conflict.or(Some(AppendError::Conflict { stream, expected, found: head.version }));
            }
            heads.push(head);
        }
        if let Some(conflict) = conflict {
            let repeated = self.repeated(group, appends).map_err(|error| self.unreadable(&error))?;
            return repeated.map(|position| Appended { position }).ok_or(conflict);
        }
        if !group.has_room {
            return Err(AppendError::Full { reason: self.shared.no_room() });
        }
        for (append, head) in appends.iter().zip(heads) {
            self.push(group, append, head);
        }
        let service = appends.first().map_or(0, |append| append.stream.service() as usize - 1);
        Ok(Appended { position: self.positions[service] })
    }

    fn head(&mut self, stream: StreamId) -> Result<Head, ReadError> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(head);
        }
        let head = match self.shared.store.last_of(stream, &mut self.decoder)? {
            Some(last) => Head { version: last.version, hash: last.hash() },
            None => Head::default(),
        };
        self.heads.set(stream, head);
        Ok(head)
    }

    /// Position of the append's last event when all of it is already there.
    fn repeated(&self, group: &Group<'_>, appends: &[Append]) -> Result<Option<u64>, ReadError> {
        let mut last = 0;
        for append in appends {
            for (version, event) in (append.expected.0.saturating_add(1)..).map(Version).zip(&append.events) {
                let stored = match group.fresh.get(&(append.stream, version)) {
                    Some(stored) => Some(*stored),
                    None => self.shared.store.event_id(append.stream, version)?,
                };
                match stored {
                    Some((id, position)) if id == event.id => last = position.max(last),
                    _ => return Ok(None),
                }
            }
        }
        Ok(Some(last))
    }

    fn push(&mut self, group: &mut Group<'_>, append: &Append, mut head: Head) {
        let Append { stream, expected: _, events, context } = append;
        let service = stream.service() as usize - 1;
        for event in events {
            self.positions[service] += 1;
            let envelope = Envelope {
                position: self.positions[service],
                event_id: event.id,
                stream: *stream,
                version: head.version.next(),
                kind: event.kind.clone(),
                context: context.clone(),
                prev_hash: head.hash,
                payload: event.payload.clone(),
            };
            head = Head { version: envelope.version, hash: envelope.hash() };
            group.batch.put(&envelope);
            group.fresh.insert((*stream, envelope.version), (event.id, envelope.position));
            group.events[service].push(envelope);
        }
        self.heads.set(*stream, head);
    }

    /// Brings the group to the disk, then to readers.
    fn write(&mut self, group: Group<'_>) -> Result<(), WriteError> {
        let Group { batch, events, .. } = group;
        if let Some(reason) = &self.stopped {
            return Err(WriteError::Refused(reason.clone()));
        }
        if batch.is_empty() {
            return Ok(());
        }
        batch.commit()?;
        if let Err(error) = self.acknowledged.note(self.positions) {
            tracing::warn!(%error, "cannot note what is acknowledged; a later loss of it would go unnoticed");
        }
        for (part, events) in self.shared.parts.iter().zip(events) {
            part.publish(events);
        }
        Ok(())
    }

    /// Damage met while deciding: nothing more is written on top of it.
    fn unreadable(&mut self, error: &ReadError) -> AppendError {
        let reason = error.to_string();
        match error {
            ReadError::Unavailable { .. } => AppendError::Unknown { reason },
            ReadError::Corrupt { .. } => {
                self.stopped.get_or_insert_with(|| reason.clone());
                AppendError::ReadOnly { reason }
            }
        }
    }

    /// Answers a group that did not reach the disk for certain, and writes nothing ever after: what a file holds after
    /// a failed sync is not known.
    fn stop(&mut self, answers: Vec<Answer>, error: WriteError) {
        let (reason, uncertain) = match error {
            WriteError::Refused(reason) => (reason, false),
            WriteError::Uncertain(reason) => (reason, true),
        };
        tracing::error!(reason, "the log is read-only from now on: a write failed");
        for (answer, to) in answers {
            let reason = reason.clone();
            reply(
                to,
                match answer {
                    // A conflict may be with an event of this very group.
                    Ok(_) | Err(AppendError::Conflict { .. }) if uncertain => {
                        Err(AppendError::Unknown { reason })
                    }
                    Ok(_) | Err(AppendError::Conflict { .. }) => Err(AppendError::ReadOnly { reason }),
                    Err(other) => Err(other),
                },
            );
        }
        self.stopped.get_or_insert(reason);
    }
}

fn disk_bytes(events: usize, bytes: usize) -> u64 {
    bytes as u64 * DISK_BYTES_PER_BYTE + events as u64 * DISK_BYTES_PER_EVENT
}

/// Answers; nobody may be waiting any more.
fn reply(to: oneshot::Sender<Result<Appended, AppendError>>, answer: Result<Appended, AppendError>) {
    drop(to.send(answer));
}
