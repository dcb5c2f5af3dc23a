//! The log on one machine: a fjall store with one writer that syncs before it acknowledges.
//!
//! - [`writer`] collects the appends that wait, checks them against the streams' heads, writes them in one batch, syncs
//!   once and then answers all of them. An append sees those before it in the same batch.
//! - [`part`] holds what readers see: the head of each service's part and its last events, so that those who follow
//!   the log get them without a read of the disk.
//! - [`store`] knows the engine, [`record`] the bytes of an event, [`dir`] the data directory.
//!
//! After a failed write or sync the log is read-only until it is opened again: what a file holds then is not known, and
//! only a fresh look at the disk tells. Close to the end of the disk it refuses appends before it comes to that.

mod dir;
mod heads;
mod part;
mod record;
mod store;
mod writer;

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use futures::future::BoxFuture;
use muster_errors::{ErrorCode, Fault};
use muster_types::{Service, StreamId, Version};
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::dir::DataDir;
use self::part::Part;
use self::store::Store;
use self::writer::{Job, Writer};
use crate::{Append, AppendError, Appended, Envelope, EventLog, ReadError, Subscription};

pub use self::record::TEXT_BYTES_MAX;

/// Appends that wait for the writer; further callers wait for a place.
pub const QUEUED_APPENDS_MAX: usize = 8_192;
/// Bytes of payload that wait for the writer. A larger append waits until nothing else does.
pub const QUEUED_BYTES_MAX: u32 = 64 * 1_024 * 1_024;

/// How to open a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Appends are refused when less than this would be left on the file system, in bytes: the engine needs room to
    /// merge its files. With 0 nobody looks, and a write that finds no room stops the log.
    pub disk_reserve_bytes: u64,
    /// Size of the engine's cache, in bytes.
    pub cache_bytes: u64,
    /// Bytes of events, for each service, that the engine collects in memory before it makes a table of them. Counts
    /// when the log is created.
    pub buffer_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            disk_reserve_bytes: 256 * 1_024 * 1_024,
            cache_bytes: 32 * 1_024 * 1_024,
            buffer_bytes: 32 * 1_024 * 1_024,
        }
    }
}

/// The log cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A newer version wrote it.
    #[error("{path} was written by a newer version: format {found}, this version reads up to {supported}", path = path.display())]
    TooNew {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process", path = path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("{path} cannot be written: {reason}", path = path.display())]
    ReadOnly {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There is no room to open it.
    #[error("no room to open {path}: {reason}", path = path.display())]
    Full {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// What is stored is not what was written.
    #[error("the log in {path} is damaged: {reason}", path = path.display())]
    Corrupt {
        /// The data directory, or the folder in it.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system failed in another way.
    #[error("{path} cannot be opened: {reason}", path = path.display())]
    Failed {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl OpenError {
    fn from_io(path: &Path, error: &io::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        let kind = error.kind();
        if matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
            Self::ReadOnly { path, reason }
        } else if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Self::Full { path, reason }
        } else {
            Self::Failed { path, reason }
        }
    }

    fn from_read(path: &Path, error: &ReadError) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error {
            ReadError::Corrupt { .. } => Self::Corrupt { path, reason },
            ReadError::Unavailable { .. } => Self::Failed { path, reason },
        }
    }

    /// The code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooNew { .. } => ErrorCode::DataDirTooNew,
            Self::InUse { .. } => ErrorCode::DataDirInUse,
            Self::ReadOnly { .. } => ErrorCode::DataDirReadOnly,
            Self::Full { .. } => ErrorCode::DiskFull,
            Self::Corrupt { .. } => ErrorCode::LogCorrupt,
            Self::Failed { .. } => ErrorCode::LogUnavailable,
        }
    }

    /// The failure as users see it.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        Fault::new(self.code(), self.to_string())
    }
}

/// A log in a directory of this machine. Dropping it writes what waits, and gives the directory free once the reads in
/// progress have ended.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    /// Closing it ends the writer.
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

/// What writer and readers share.
struct Shared {
    store: Store,
    parts: [Part; 4],
    options: Options,
    /// Last, so that the directory is given free after its files are closed.
    dir: DataDir,
}

impl Shared {
    fn part(&self, service: Service) -> &Part {
        &self.parts[service as usize - 1]
    }

    /// Whether the disk has room for this much and the reserve. When the system does not say, a write finds out.
    fn has_room(&self, bytes: u64) -> bool {
        let reserve = self.options.disk_reserve_bytes;
        reserve == 0 || self.dir.room().map_or(true, |room| room >= bytes.saturating_add(reserve))
    }

    fn no_room(&self) -> String {
        format!(
            "less than {} MiB are left on the disk of {}",
            self.options.disk_reserve_bytes / (1_024 * 1_024),
            self.dir.root().display()
        )
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in a directory, creating both if they are not there. Blocks while the engine recovers.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let dir = DataDir::take(dir)?;
        let (acknowledged, promised) = dir.acknowledged()?;
        if !dir.store().exists() {
            if promised != [0; 4] {
                return Err(dir.corrupt("the store is gone"));
            }
            dir.create_store(|path| Store::create(path, &options))?;
        }
        let store = Store::open(&dir.store(), &options)?;
        let mut positions = [0; 4];
        for (service, promised) in Service::ALL.into_iter().zip(promised) {
            let head = store.head(service).map_err(|error| OpenError::from_read(dir.root(), &error))?;
            if head < promised {
                return Err(dir.corrupt(format!(
                    "the log of {service} ends at position {head}, but {promised} was acknowledged"
                )));
            }
            positions[service as usize - 1] = head;
        }
        let (queue, jobs) = mpsc::channel(QUEUED_APPENDS_MAX);
        let builder = thread::Builder::new().name("log-writer".into());
        let root = dir.root().to_owned();
        let shared = Arc::new(Shared { store, parts: positions.map(Part::new), options, dir });
        let writer = Writer::new(shared.clone(), acknowledged, positions);
        let writer =
            builder.spawn(move || writer.run(jobs)).map_err(|error| OpenError::from_io(&root, &error))?;
        Ok(Self {
            shared,
            room: Arc::new(Semaphore::new(QUEUED_BYTES_MAX as usize)),
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    async fn enqueue(&self, appends: Vec<Append>) -> Result<Appended, AppendError> {
        crate::memory::check(&appends)?;
        appends.iter().try_for_each(record::check_texts)?;
        let stopped = || AppendError::ReadOnly { reason: "the writer has ended".to_owned() };
        let bytes = appends.iter().flat_map(|append| &append.events).map(|event| event.payload.len());
        let share = u32::try_from(bytes.sum::<usize>()).unwrap_or(u32::MAX).min(QUEUED_BYTES_MAX);
        let room = self.room.clone().acquire_many_owned(share).await.map_err(|_| stopped())?;
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Job { appends, answer, room }).await.map_err(|_| stopped())?;
        let lost = || AppendError::Unknown { reason: "the writer ended before it answered".to_owned() };
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer has panicked");
        }
    }
}

impl EventLog for EmbeddedLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.enqueue(appends))
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            // That a stream is new is seen without another thread, which costs more than an append.
            if after == Version::NONE && shared.store.is_new(stream) {
                return Ok(Vec::new());
            }
            tokio::task::spawn_blocking(move || shared.store.read(stream, after))
                .await
                .map_err(|error| ReadError::Unavailable { reason: error.to_string() })?
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the feeding task ends with the subscription or the log")]
    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        Box::pin(async move {
            let part = self.shared.part(service);
            let head = *part.head.borrow();
            if after > head {
                let reason = format!("a reader is at position {after}, but the log ends at {head}");
                return Err(store::corrupt(service, after, reason));
            }
            let (sender, subscription) = Subscription::channel();
            let shared = Arc::downgrade(&self.shared);
            tokio::spawn(part::feed(shared, service, part.head.subscribe(), after, sender));
            Ok(subscription)
        })
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        Box::pin(async move { Ok(*self.shared.part(service).head.borrow()) })
    }
}
