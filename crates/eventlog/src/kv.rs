//! Where projections keep rows that can be thrown away and rebuilt.

pub mod sled;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

pub use self::sled::{OpenError, SledKv};

/// Most rows that one [`Batch`] should touch: larger ones hold up everybody else in the process.
pub const BATCH_ROWS_MAX: usize = 1_000;
/// Most bytes of keys and values that one [`Batch`] should hold; a single larger row goes alone.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Rows and the checkpoint to write together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Rows to put, in any order; each key at most once.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Rows to delete; no key that is also put.
    pub deletes: Vec<Vec<u8>>,
}

/// The store failed. Projections answer by dropping what it holds and rebuilding from the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the view store failed: {reason}")]
pub struct KvError {
    /// What it said.
    pub reason: String,
}

/// A key-value store for the projections of one service: keys in byte order, batches all or nothing.
///
/// Nothing in it is durable beyond a process crash; the log is. Several views share one store: each keeps to keys
/// that begin with its own prefix. All calls may block.
pub trait Kv: Send + Sync + 'static {
    /// Reads one row.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Calls `row` for each row whose key begins with `prefix`, in key order.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn scan(&self, prefix: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError>;

    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn apply(&self, batch: Batch) -> Result<(), KvError>;

    /// Removes every row whose key begins with `prefix`.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn clear(&self, prefix: &[u8]) -> Result<(), KvError>;

    /// Hands what was written to the operating system. Called at shutdown.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn flush(&self) -> Result<(), KvError> {
        Ok(())
    }
}

/// A store in memory, for tests and for services that rather rebuild.
#[derive(Debug, Clone, Default)]
pub struct MemoryKv(Arc<RwLock<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Kv for MemoryKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.0.read().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError> {
        let rows = self.0.read();
        rows.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .for_each(|(key, value)| row(key, value));
        Ok(())
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        let mut rows = self.0.write();
        rows.extend(batch.puts);
        for key in &batch.deletes {
            rows.remove(key);
        }
        Ok(())
    }

    fn clear(&self, prefix: &[u8]) -> Result<(), KvError> {
        self.0.write().retain(|key, _| !key.starts_with(prefix));
        Ok(())
    }
}
