//! Where projections keep rows that can be thrown away and rebuilt.

use std::sync::Arc;

use parking_lot::RwLock;

/// Rows and the checkpoint to write together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Rows to put, in any order; each key at most once.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Rows to delete.
    pub deletes: Vec<Vec<u8>>,
}

/// The store failed. Projections answer by deleting it and rebuilding from the log.
#[derive(Debug, thiserror::Error)]
#[error("the view store failed: {reason}")]
pub struct KvError {
    /// What it said.
    pub reason: String,
}

/// A key-value store for one service's projection: keys in byte order, batches all or nothing.
///
/// Nothing in it is durable beyond a process crash; the log is.
pub trait Kv: Send + Sync + 'static {
    /// Reads one row.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// Calls `row` for each row in key order.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn scan(&self, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError>;

    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn apply(&self, batch: Batch) -> Result<(), KvError>;

    /// Removes every row.
    ///
    /// # Errors
    /// [`KvError`] when the store failed.
    fn clear(&self) -> Result<(), KvError>;
}

/// A store in memory, for tests and for services that rather rebuild.
#[derive(Debug, Clone, Default)]
pub struct MemoryKv(Arc<RwLock<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Kv for MemoryKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.0.read().get(key).cloned())
    }

    fn scan(&self, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError> {
        self.0.read().iter().for_each(|(key, value)| row(key, value));
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

    fn clear(&self) -> Result<(), KvError> {
        self.0.write().clear();
        Ok(())
    }
}
