//! The way out: views, folded from the log by one owner, read by many.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_types::{Positions, Service};
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::watch;

use crate::kv::Kv;
use crate::log::SharedLog;
use crate::{Envelope, ReadError};

/// Longest wait of a reader for a position it asks for.
pub const WAIT_MAX: Duration = Duration::from_secs(2);

/// An event that a view cannot fold: the log or the program is wrong, and going on would hide it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot fold {kind} at {service} position {position}: {reason}")]
pub struct FoldError {
    /// Type of the event.
    pub kind: String,
    /// Whose part of the log.
    pub service: Service,
    /// Where.
    pub position: u64,
    /// What is wrong.
    pub reason: String,
}

/// Keys of rows that changed since they were last written behind.
#[derive(Debug, Default)]
pub struct Dirty(pub BTreeSet<Vec<u8>>);

impl Dirty {
    /// Marks a row; it is encoded when it is written, however often it was marked.
    pub fn mark(&mut self, key: Vec<u8>) {
        self.0.insert(key);
    }
}

/// A fold of events. Deterministic: no clock, no randomness, no I/O; time comes with the event.
///
/// Events of one service come in log order. Events of different services come in any order: a view that joins them
/// keeps what came early until its counterpart comes.
pub trait View: Send + Sync + 'static {
    /// Name in metrics, logs and store folders.
    const NAME: &'static str;
    /// Raised when rows change their meaning: stored ones are dropped and rebuilt.
    const CONTRACT: u32;
    /// The logs it folds.
    const SOURCES: &'static [Service];

    /// Folds one event and marks the rows it changed. An event of a type it does not know is skipped.
    ///
    /// # Errors
    /// [`FoldError`] when the event is damaged; folding stops there.
    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError>;

    /// Called after each run of events, with how far all logs are folded: the place for work that is cheaper once than
    /// per event, and for publishing to watchers.
    fn settle(&mut self, _positions: &Positions, _dirty: &mut Dirty) {}

    /// Encodes a row; `None` when it is gone.
    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Takes back a stored row. Rows come in key order, before any event.
    ///
    /// # Errors
    /// What is wrong with it; the store is then dropped and rebuilt.
    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String>;

    /// Called once after the last stored row, with the positions they reflect.
    fn loaded(&mut self, _positions: &Positions) {}
}

/// A view that is being folded, for readers.
#[derive(Debug)]
pub struct Projected<V> {
    view: Arc<RwLock<V>>,
    progress: watch::Receiver<Progress>,
}

impl<V> Clone for Projected<V> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone(), progress: self.progress.clone() }
    }
}

/// How far a view is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Positions folded.
    pub positions: Positions,
    /// Whether every source was once read up to its head.
    pub caught_up: bool,
    /// Why folding stopped, if it did.
    pub stopped: Option<String>,
}

/// A reader wanted a position that the view did not reach in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the view has folded {has}, wanted {wanted}")]
pub struct Behind {
    /// Where it is.
    pub has: Positions,
    /// Where it should be.
    pub wanted: Positions,
}
