//! The engine's keyspaces: keys, values, and what can be wrong with them. The only file that knows fjall.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `events.<service>` | position u64 | record |
//! | `index` | kind of aggregate u8, length of tenant u8, tenant, id, version u64 | position u64 |
//!
//! Numbers are big-endian, so that byte order is log order. Each service has a keyspace of its own because its keys
//! then only ever grow, and compaction moves tables instead of merging them.

use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fjall::config::BlockSizePolicy;
use fjall::{Database, Error, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode};
use muster_types::{EventId, Service, StreamId, Version};

use super::record::{self, Damage, Decoder};
use super::{OpenError, Options};
use crate::{Envelope, ReadError};

/// Journals are merged into tables beyond this size; what is left is read at the next start.
const JOURNALS_BYTES_MAX: u64 = 256 * 1_024 * 1_024;
/// Events are read in runs: larger blocks than the engine's 4 KiB compress and scan better.
const EVENTS_BLOCK_BYTES: u32 = 16 * 1_024;

/// Most events, and bytes of payload, in one delivery of a subscription.
pub(super) const CHUNK_EVENTS_MAX: usize = 1_024;
const CHUNK_BYTES_MAX: usize = 1_024 * 1_024;

/// The store of one data directory.
pub(super) struct Store {
    database: Database,
    events: [Keyspace; 4],
    index: Keyspace,
}

/// A write failed.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Nothing was written.
    Refused(String),
    /// Some, all or nothing of it may come back at the next start.
    Uncertain(String),
}

impl Store {
    /// Makes an empty store in a folder that is not there yet.
    pub(super) fn create(path: &Path, options: &Options) -> Result<(), OpenError> {
        let create = || {
            let store = Self::open_unchecked(path, options)?;
            store.database.persist(PersistMode::SyncAll)
        };
        create().map_err(|error| open_error(path, &error))
    }

    /// Opens a store. The engine asserts here and there where a damaged file deserves an error: both are damage.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        if !path.join("version").exists() {
            return Err(OpenError::Corrupt {
                path: path.to_owned(),
                reason: "the store has no version".into(),
            });
        }
        match catch_unwind(AssertUnwindSafe(|| Self::open_unchecked(path, options))) {
            Ok(opened) => opened.map_err(|error| open_error(path, &error)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
                Err(OpenError::Corrupt {
                    path: path.to_owned(),
                    reason: format!("the store's engine gave up: {text}"),
                })
            }
        }
    }

    fn open_unchecked(path: &Path, options: &Options) -> Result<Self, Error> {
        let database = Database::builder(path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .manual_journal_persist(true)
            .worker_threads(2)
            .open()?;
        let events = |service: Service| {
            database.keyspace(&format!("events.{service}"), || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(options.buffer_bytes)
                    .data_block_size_policy(BlockSizePolicy::all(EVENTS_BLOCK_BYTES))
                    .expect_point_read_hits(true)
            })
        };
        let [a, b, c, d] = Service::ALL;
        let events = [events(a)?, events(b)?, events(c)?, events(d)?];
        let index = database.keyspace("index", || {
            KeyspaceCreateOptions::default().max_memtable_size(options.buffer_bytes / 2)
        })?;
        Ok(Self { database, events, index })
    }

    fn events(&self, service: Service) -> &Keyspace {
        &self.events[service as usize - 1]
    }

    /// Position of a service's last event; 0 when there is none. Checks both ends of its part.
    pub(super) fn head(&self, service: Service) -> Result<u64, ReadError> {
        let events = self.events(service);
        let damaged = |position, reason: &str| corrupt(service, position, reason);
        let position_of = |guard: fjall::Guard| -> Result<u64, ReadError> {
            let key = guard.key().map_err(|error| read_error(service, 0, &error))?;
            Ok(u64::from_be_bytes((*key).try_into().map_err(|_| damaged(0, "a key is no position"))?))
        };
        let Some(last) = events.last_key_value() else { return Ok(0) };
        let last = position_of(last)?;
        if events.first_key_value().map(position_of).transpose()? != Some(1) {
            return Err(damaged(1, "the first event is gone"));
        }
        let envelope = self.event(service, last, &mut Decoder::default())?;
        if self.position(envelope.stream, envelope.version)? != Some(last) {
            return Err(damaged(last, "the index does not know the last event"));
        }
        Ok(last)
    }

    fn record(&self, service: Service, position: u64) -> Result<fjall::UserValue, ReadError> {
        self.events(service)
            .get(position.to_be_bytes())
            .map_err(|error| read_error(service, position, &error))?
            .ok_or_else(|| corrupt(service, position, "the event is gone"))
    }

    fn event(&self, service: Service, position: u64, decoder: &mut Decoder) -> Result<Envelope, ReadError> {
        let record = self.record(service, position)?;
        decoder
            .decode(service, position, &record)
            .map_err(|Damage(reason)| corrupt(service, position, reason))
    }

    /// Position of the event with this version of a stream.
    pub(super) fn position(&self, stream: StreamId, version: Version) -> Result<Option<u64>, ReadError> {
        let service = stream.service();
        self.index
            .get(index_key(stream, version))
            .map_err(|error| read_error(service, 0, &error))?
            .map(|value| indexed(service, &value))
            .transpose()
    }

    /// Id and position of the event with this version of a stream.
    pub(super) fn event_id(
        &self,
        stream: StreamId,
        version: Version,
    ) -> Result<Option<(EventId, u64)>, ReadError> {
        let service = stream.service();
        let Some(position) = self.position(stream, version)? else { return Ok(None) };
        let record = self.record(service, position)?;
        let id = record::event_id(service, position, &record)
            .map_err(|Damage(reason)| corrupt(service, position, reason))?;
        Ok(Some((id, position)))
    }

    /// The last event of a stream. For a stream without events one look into the index's filters is enough.
    pub(super) fn last_of(
        &self,
        stream: StreamId,
        decoder: &mut Decoder,
    ) -> Result<Option<Envelope>, ReadError> {
        let service = stream.service();
        if self.position(stream, Version(1))?.is_none() {
            return Ok(None);
        }
        let range = index_key(stream, Version(1))..=index_key(stream, Version(u64::MAX));
        let Some(last) = self.index.range(range).next_back() else {
            return Err(corrupt(service, 0, "the index lost a stream"));
        };
        let (_, value) = last.into_inner().map_err(|error| read_error(service, 0, &error))?;
        self.event(service, indexed(service, &value)?, decoder).map(Some)
    }

    /// Whether a stream certainly has no event: one look into the index, mostly into its filters in memory, at worst one
    /// block from the disk. What is wrong with the index is left to a read to tell, since the engine may panic over it.
    pub(super) fn is_new(&self, stream: StreamId) -> bool {
        let position = catch_unwind(AssertUnwindSafe(|| self.position(stream, Version(1))));
        matches!(position, Ok(Ok(None)))
    }

    /// Reads a stream after a version.
    pub(super) fn read(&self, stream: StreamId, after: Version) -> Result<Vec<Envelope>, ReadError> {
        let service = stream.service();
        let Some(first) = after.0.checked_add(1) else { return Ok(Vec::new()) };
        let mut decoder = Decoder::default();
        let range = index_key(stream, Version(first))..=index_key(stream, Version(u64::MAX));
        let mut events = Vec::new();
        for (version, row) in (first..).zip(self.index.range(range)) {
            let (_, value) = row.into_inner().map_err(|error| read_error(service, 0, &error))?;
            let position = indexed(service, &value)?;
            let event = self.event(service, position, &mut decoder)?;
            if event.stream != stream || event.version != Version(version) {
                return Err(corrupt(service, position, "the event is not the one the index names"));
            }
            events.push(event);
        }
        Ok(events)
    }

    /// Reads a service's events after a position, without a gap, as many as fit into a delivery.
    pub(super) fn chunk(
        &self,
        service: Service,
        after: u64,
        until: u64,
        decoder: &mut Decoder,
    ) -> Result<Vec<Envelope>, ReadError> {
        let range = (after + 1).to_be_bytes()..=until.to_be_bytes();
        let mut events = Vec::with_capacity(CHUNK_EVENTS_MAX);
        let mut bytes = 0;
        for (position, row) in (after + 1..).zip(self.events(service).range(range)) {
            let (key, record) = row.into_inner().map_err(|error| read_error(service, position, &error))?;
            if *key != position.to_be_bytes() {
                return Err(corrupt(service, position, "the event is gone"));
            }
            let event = decoder
                .decode(service, position, &record)
                .map_err(|Damage(reason)| corrupt(service, position, reason))?;
            bytes += event.payload.len();
            events.push(event);
            if events.len() >= CHUNK_EVENTS_MAX || bytes >= CHUNK_BYTES_MAX {
                break;
            }
        }
        if events.is_empty() {
            return Err(corrupt(service, after + 1, "the event is gone"));
        }
        Ok(events)
    }

    /// Begins a write.
    pub(super) fn batch(&self, events: usize) -> Batch<'_> {
        let batch = OwnedWriteBatch::with_capacity(self.database.clone(), events * 2);
        Batch { store: self, batch: batch.durability(Some(PersistMode::SyncData)), bytes: 0 }
    }
}

/// Events to write, all or nothing.
pub(super) struct Batch<'a> {
    store: &'a Store,
    batch: OwnedWriteBatch,
    bytes: usize,
}

impl Batch<'_> {
    /// Adds an event.
    pub(super) fn put(&mut self, event: &Envelope) {
        let position = event.position.to_be_bytes();
        let record = record::encode(event);
        self.bytes += record.len();
        self.batch.insert(self.store.events(event.stream.service()), position, record);
        self.batch.insert(&self.store.index, index_key(event.stream, event.version), position);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Writes and syncs: when it returns, the events are on the disk.
    pub(super) fn commit(self) -> Result<(), WriteError> {
        self.batch.commit().map_err(|error| {
            // The engine looks for this before it writes.
            if matches!(error, Error::Poisoned) {
                WriteError::Refused("an earlier write of the engine failed".into())
            } else {
                WriteError::Uncertain(describe(&error))
            }
        })
    }
}

fn index_key(stream: StreamId, version: Version) -> Vec<u8> {
    let StreamId { tenant, aggregate, id } = stream;
    let tenant = tenant.as_str().as_bytes();
    let mut key = Vec::with_capacity(26 + tenant.len());
    key.push(aggregate as u8);
    key.push(u8::try_from(tenant.len()).expect("a tenant id has at most 32 bytes"));
    key.extend_from_slice(tenant);
    key.extend_from_slice(id.as_bytes());
    key.extend_from_slice(&version.0.to_be_bytes());
    key
}

fn indexed(service: Service, value: &[u8]) -> Result<u64, ReadError> {
    let bytes = value.try_into().map_err(|_| corrupt(service, 0, "a row of the index is no position"))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn corrupt(service: Service, position: u64, reason: impl Into<String>) -> ReadError {
    ReadError::Corrupt { service, position, reason: reason.into() }
}

/// The I/O error behind an engine's error; `None` when it found the bytes on the disk at fault by itself.
fn io_error(error: &Error) -> Option<&io::Error> {
    if let Error::Io(io) | Error::Storage(LsmError::Io(io)) = error { Some(io) } else { None }
}

fn describe(error: &Error) -> String {
    io_error(error).map_or_else(|| format!("{error:?}"), ToString::to_string)
}

/// An I/O error that does not come from damage, which also shows as a file that is missing, too short or malformed.
fn failure(error: &Error) -> Option<&io::Error> {
    io_error(error).filter(|io| {
        !matches!(
            io.kind(),
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
        )
    })
}

fn read_error(service: Service, position: u64, error: &Error) -> ReadError {
    let reason = describe(error);
    match failure(error) {
        Some(_) => ReadError::Unavailable { reason },
        None => corrupt(service, position, reason),
    }
}

fn open_error(path: &Path, error: &Error) -> OpenError {
    if matches!(error, Error::Locked) {
        return OpenError::InUse { path: path.to_owned() };
    }
    match failure(error) {
        Some(io) => OpenError::from_io(path, io),
        None => OpenError::Corrupt { path: path.to_owned(), reason: describe(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_types::{Aggregate, TenantId};
    use uuid::Uuid;

    #[test]
    fn index_keys_sort_by_version_within_their_stream() {
        let stream = |id| StreamId::new(TenantId::DEFAULT, Aggregate::Group, Uuid::from_u128(id));
        let keys = [
            index_key(stream(1), Version(1)),
            index_key(stream(1), Version(2)),
            index_key(stream(1), Version(256)),
            index_key(stream(1), Version(u64::MAX)),
            index_key(stream(2), Version(1)),
        ];
        assert!(keys.is_sorted());
    }
}
