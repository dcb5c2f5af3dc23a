//! The way out: views, folded from the log by one owner, read by many.
//!
//! [`start`] gives a [`Projected`] for readers and a future that does the work: one task folds all sources into the
//! view in memory and writes changed rows behind to a [`Kv`], from where the next start takes them back.
//!
//! What is in the store is either as of its checkpoint, or has none. A batch that leaves changed rows unwritten takes
//! the checkpoint away, and the batch that writes the last of them puts it back; whoever finds no checkpoint drops the
//! rows and folds from the beginning. With the checkpoint goes a digest of all rows, so that a store which lost
//! some of them is found out when it is loaded.

mod digest;
mod run;
mod source;
mod store;
mod verify;
mod views;

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use muster_types::{Positions, Service};
use parking_lot::{RwLock, RwLockReadGuard};
use rustc_hash::FxHashSet;
use tokio::sync::watch;

use crate::Envelope;
use crate::kv::Kv;
use crate::log::SharedLog;

pub use digest::ViewDigest;
pub(crate) use source::Source;
pub use verify::{Difference, How, NAMED_MAX, Rebuild, TOLD_EVERY, Verified, VerifyError, rebuild, verify};
pub use views::{Registered, Views};

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

impl FoldError {
    /// Says what is wrong with an event.
    pub fn new(event: &Envelope, reason: impl Into<String>) -> Self {
        Self {
            kind: event.kind.as_str().to_owned(),
            service: event.stream.service(),
            position: event.position,
            reason: reason.into(),
        }
    }
}

/// Keys of rows that changed since they were last written behind.
#[derive(Debug, Default)]
pub struct Dirty {
    rows: FxHashSet<Vec<u8>>,
    /// Nothing was ever written: all rows are dirty, and none need be named.
    all: bool,
}

impl Dirty {
    /// Marks a row as changed or gone; it is encoded when it is written, however often it was marked. A key given as
    /// a slice or an array costs nothing while the view is folded from the beginning.
    pub fn mark(&mut self, key: impl AsRef<[u8]> + Into<Vec<u8>>) {
        if !self.all && !self.rows.contains(key.as_ref()) {
            self.rows.insert(key.into());
        }
    }

    /// For a view that is folded from the beginning: every row will be written, whatever is marked.
    #[must_use]
    pub fn everything() -> Self {
        Self { rows: FxHashSet::default(), all: true }
    }

    /// The keys marked, in key order.
    #[must_use]
    pub fn keys(&self) -> Vec<&[u8]> {
        let mut keys: Vec<_> = self.rows.iter().map(Vec::as_slice).collect();
        keys.sort_unstable();
        keys
    }
}

/// A fold of events. Deterministic: no clock, no randomness, no I/O; time comes with the event.
///
/// Events of one service come in log order. Events of different services come in any order: a view that joins them
/// keeps what came early until its counterpart comes, and ends with the same rows whatever the order was.
pub trait View: Send + Sync + 'static {
    /// Name in metrics, logs and store keys; no other view of the service has it.
    const NAME: &'static str;
    /// Raised when rows change their meaning: stored ones are dropped and rebuilt.
    const CONTRACT: u32;
    /// The logs it folds, each once.
    const SOURCES: &'static [Service];

    /// Folds one event and marks the rows it changed. An event of a type it does not know is skipped.
    ///
    /// # Errors
    /// [`FoldError`] when the event is damaged; folding stops there.
    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError>;

    /// Called after each run of events, with how far all logs are folded: the place for work that is cheaper once than
    /// per event, and for publishing to watchers. How events fall into runs changes nothing in the rows.
    fn settle(&mut self, _positions: &Positions, _dirty: &mut Dirty) {}

    /// Calls `row` with the key of each row, each once, in any order: all those that [`View::encode_row`] knows.
    fn row_keys(&self, row: &mut dyn FnMut(&[u8]));

    /// Encodes a row; `None` when it is gone. The same row gives the same bytes.
    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Takes back a stored row. Rows come in key order, before any event.
    ///
    /// # Errors
    /// What is wrong with it; the stored rows are then dropped and rebuilt.
    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String>;

    /// Called once after the last stored row, with the positions they reflect.
    fn loaded(&mut self, _positions: &Positions) {}

    /// Lets go of all that folding would reach outside the view: who waits for changes, connections, metrics. Called on an
    /// empty view that is folded beside the live one to be compared with it. A view that shares such a thing must say so
    /// here, or a verification acts a second time on all that ever happened.
    fn detach(&mut self) {}
}

/// A view and how far it is folded: one thing under one lock.
#[derive(Debug)]
struct Folded<V> {
    view: V,
    positions: Positions,
}

/// A view that is being folded, for readers. Cheap to clone.
#[derive(Debug)]
pub struct Projected<V> {
    folded: Arc<RwLock<Folded<V>>>,
    progress: watch::Receiver<Progress>,
}

impl<V> Clone for Projected<V> {
    fn clone(&self) -> Self {
        Self { folded: self.folded.clone(), progress: self.progress.clone() }
    }
}

/// A view as it stands between two runs of events. Folding waits while it is held: never across an await.
#[derive(Debug)]
pub struct Reading<'a, V>(RwLockReadGuard<'a, Folded<V>>);

impl<V> Reading<'_, V> {
    /// How far the view is folded.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.0.positions
    }
}

impl<V> Deref for Reading<'_, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0.view
    }
}

impl<V: View> Projected<V> {
    /// The view as it is now, with its positions. Holds folding up while it lives.
    #[must_use]
    pub fn read(&self) -> Reading<'_, V> {
        Reading(self.folded.read())
    }

    /// Waits until the view has folded `wanted`, at most [`WAIT_MAX`]. Only logs that the view folds count.
    ///
    /// # Errors
    /// [`Behind`] when the time is over, or at once when folding stopped.
    pub async fn wait_for(&self, wanted: &Positions) -> Result<(), Behind> {
        let mut progress = self.progress.clone();
        let reached = |progress: &Progress| progress.positions.reach(wanted, V::SOURCES);
        let settled = progress.wait_for(|progress| reached(progress) || progress.stopped.is_some());
        let has = match tokio::time::timeout(WAIT_MAX, settled).await {
            Ok(Ok(progress)) if reached(&progress) => return Ok(()),
            Ok(Ok(progress)) => progress.positions,
            Ok(Err(_)) | Err(_) => self.progress.borrow().positions,
        };
        if has.reach(wanted, V::SOURCES) { Ok(()) } else { Err(Behind { has, wanted: *wanted }) }
    }

    /// How far the view is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Follows how far the view is, for readiness and metrics.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Digest of all rows as they are now, and the positions it is of. Folding waits meanwhile: about a second for a
    /// million rows.
    #[must_use]
    pub fn digest(&self) -> (ViewDigest, Positions) {
        let reading = self.read();
        (ViewDigest::of(&*reading), reading.positions())
    }
}

/// How far a view is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Positions folded.
    pub positions: Positions,
    /// Ends of the logs, as far as known: asked for every [`HEADS_EVERY`].
    pub heads: Positions,
    /// Whether every source was once read up to the end it had at the start.
    pub caught_up: bool,
    /// Why folding stopped, if it did. Readers keep what was folded until then; a restart tries again.
    pub stopped: Option<String>,
    /// Events folded by this process.
    pub events: u64,
    /// Changed rows that the store does not have yet.
    pub rows_pending: usize,
    /// Whether the store failed; the view then lives in memory only, and the next start folds from the beginning.
    pub store_failed: bool,
}

/// How often the ends of the logs are asked for.
pub const HEADS_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Whether the view may be read: it has caught up and is still being folded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.caught_up && self.stopped.is_none()
    }

    /// Events of one log that are not folded yet, as far as known.
    #[must_use]
    pub fn lag(&self, service: Service) -> u64 {
        self.heads.get(service).saturating_sub(self.positions.get(service))
    }
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

/// Starts a view: gives what readers hold, and the future that folds. The future ends once `stopping` has come and what
/// changed is in the store; dropping it earlier loses nothing but time.
///
/// `fresh` makes the view empty: once at the start, and again when stored rows turn out to be unusable.
///
/// Folding stops (see [`Progress::stopped`]) at an event that cannot be folded and at a damaged log; a log that cannot
/// be reached is tried again until it can.
pub fn start<V: View>(
    log: SharedLog,
    kv: Arc<dyn Kv>,
    fresh: impl Fn() -> V + Send + Sync + 'static,
    stopping: impl Future<Output = ()> + Send + 'static,
) -> (Projected<V>, impl Future<Output = ()> + Send + 'static) {
    let folded = Arc::new(RwLock::new(Folded { view: fresh(), positions: Positions::ZERO }));
    let (sender, progress) = watch::channel(Progress::default());
    let projected = Projected { folded: folded.clone(), progress };
    (projected, run::run(log, kv, fresh, folded, sender, stopping))
}
