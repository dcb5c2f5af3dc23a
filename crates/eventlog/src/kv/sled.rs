//! sled, for projections and nothing else: its flush is no fsync, so it may hold only what the log can give back.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{BATCH_ROWS_MAX, Batch, Kv, KvError};

/// Memory that sled may use for pages, in bytes. Hot reads never come here: views live in memory.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How often an open is tried while the last owner in this process still lets go of the files.
const OPEN_TRIES_MAX: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(20);
/// Stands in the folder once the store failed at work: the next open starts empty.
const DAMAGED: &str = "damaged";

/// The store cannot be opened, and deleting it would not help.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the view store {folder} is in use by another process")]
    Held {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be made, read or deleted.
    #[error("the view store {folder} cannot be used")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A store on sled in a folder of its own. What sled cannot read it deletes, and starts empty: costs a rebuild.
///
/// Once an operation failed, all later ones fail too, and the next open starts empty: a store that lost some rows
/// and kept others would be worse than none.
#[derive(Debug)]
pub struct SledKv {
    db: sled::Db,
    folder: PathBuf,
    failed: AtomicBool,
    // Held as long as the store; after `db`, so that it is let go last.
    _lock: File,
}

impl SledKv {
    /// Opens the store in a folder, making it if it is not there. Blocks.
    ///
    /// # Errors
    /// [`OpenError`] when another process has it, or the folder cannot be used.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io)?;
        let lock = File::create(folder.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Held { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let files = folder.join("sled");
        let marker = folder.join(DAMAGED);
        if marker.exists() {
            tracing::warn!(folder = %folder.display(), "the view store failed when it was last in use; it starts empty");
            remove(&files).map_err(io)?;
            fs::remove_file(&marker).map_err(io)?;
        }
        let db = match open_files(&files) {
            Ok(db) => db,
            Err(sled::Error::Io(source)) if is_environment(&source) => return Err(io(source)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the view store cannot be read; it starts empty");
                remove(&files).map_err(io)?;
                open_files(&files).map_err(|error| io(io::Error::other(error.to_string())))?
            }
        };
        Ok(Self { db, folder: folder.to_owned(), failed: AtomicBool::new(false), _lock: lock })
    }

    /// Runs one operation; sled answers some kinds of damage with a panic.
    fn run<T>(&self, operation: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, KvError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(KvError { reason: "it failed before".to_owned() });
        }
        let reason = match catch_unwind(AssertUnwindSafe(|| operation(&self.db))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "sled panicked".to_owned(),
        };
        self.failed.store(true, Ordering::Release);
        if let Err(error) = File::create(self.folder.join(DAMAGED)) {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot mark the view store as damaged");
        }
        Err(KvError { reason })
    }
}

impl Kv for SledKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.run(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, prefix: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError> {
        self.run(|db| {
            for entry in db.scan_prefix(prefix) {
                let (key, value) = entry?;
                row(&key, &value);
            }
            Ok(())
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        let Batch { puts, deletes } = batch;
        let mut writes = sled::Batch::default();
        for (key, value) in puts {
            writes.insert(key, value);
        }
        for key in deletes {
            writes.remove(key);
        }
        self.run(|db| db.apply_batch(writes))
    }

    fn clear(&self, prefix: &[u8]) -> Result<(), KvError> {
        self.run(|db| {
            if db.scan_prefix(prefix).next().is_none() {
                return Ok(());
            }
            loop {
                let keys: Vec<_> =
                    db.scan_prefix(prefix).keys().take(BATCH_ROWS_MAX).collect::<sled::Result<_>>()?;
                if keys.is_empty() {
                    return Ok(());
                }
                let mut writes = sled::Batch::default();
                keys.into_iter().for_each(|key| writes.remove(key));
                db.apply_batch(writes)?;
            }
        })
    }

    fn flush(&self) -> Result<(), KvError> {
        self.run(|db| db.flush().map(drop))
    }
}

/// Opens sled's files. Its threads let go of a closed store a little after its owner: that is waited for.
fn open_files(files: &Path) -> sled::Result<sled::Db> {
    let mut tries = 0;
    loop {
        let config = sled::Config::new().path(files).cache_capacity(CACHE_BYTES);
        let outcome = catch_unwind(AssertUnwindSafe(|| config.open()))
            .unwrap_or_else(|_| Err(sled::Error::Unsupported("sled panicked".to_owned())));
        match outcome {
            Err(sled::Error::Io(error)) if is_lock(&error) && tries < OPEN_TRIES_MAX => tries += 1,
            outcome => return outcome,
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "opening blocks anyway, and sled has nothing to await"
        )]
        std::thread::sleep(OPEN_PAUSE);
    }
}

fn is_lock(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Whether the fault is the machine's, not the files': deleting them would not help.
fn is_environment(error: &io::Error) -> bool {
    is_lock(error)
        || matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::StorageFull
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::QuotaExceeded
        )
}

fn remove(files: &Path) -> io::Result<()> {
    match fs::remove_dir_all(files) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
