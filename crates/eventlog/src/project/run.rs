//! The one task that folds a view.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use muster_telemetry::context;
use muster_types::{Positions, Service};
use parking_lot::{RwLock, RwLockWriteGuard};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::MissedTickBehavior;
use tracing::{Span, info_span};

use super::store::{Store, Tips, Write};
use super::{Dirty, Folded, HEADS_EVERY, Progress, Source, View};
use crate::chain::ChainVerifier;
use crate::kv::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Kv, KvError};
use crate::log::SharedLog;
use crate::{Delivery, ReadError};

/// Events folded under one hold of the lock, but for the last delivery taken in.
const RUN_EVENTS_MAX: usize = 1_024;
/// How long a changed row waits to be written behind.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// Changed rows that are written behind at once.
const WRITE_ROWS: usize = BATCH_ROWS_MAX;
/// Changed rows that are still written at shutdown. With more the checkpoint is left as it is: folding the tail of
/// the log once more takes less time.
const LAST_ROWS_MAX: usize = 20_000;

/// Causes that the span of a run names; more are only counted as events.
const LINKS_MAX: usize = 32;

type Item = (Service, Result<Delivery, ReadError>);
type Sources = SelectAll<BoxStream<'static, Item>>;
type Writing = JoinHandle<(Store, Result<(), KvError>)>;

/// Loads, follows and folds until `stopping`.
pub(super) async fn run<V: View>(
    log: SharedLog,
    kv: Arc<dyn Kv>,
    fresh: impl Fn() -> V + Send + Sync + 'static,
    folded: Arc<RwLock<Folded<V>>>,
    progress: watch::Sender<Progress>,
    stopping: impl Future<Output = ()> + Send + 'static,
) {
    let mut stopping = pin!(stopping);
    let mut owner = Owner::new(folded, progress.clone());
    tokio::select! {
        biased;
        () = &mut stopping => return,
        () = owner.load(&log, kv, fresh) => {}
    }
    let positions = owner.folded.read().positions;
    let mut sources: Sources = V::SOURCES
        .iter()
        .map(|&service| Source::new(log.clone(), service, positions.get(service), V::NAME).deliveries())
        .collect();
    let outcome = tokio::select! {
        biased;
        () = &mut stopping => Ok(()),
        stopped = owner.work(&mut sources) => Err(stopped),
        () = watch_heads::<V>(&log, &progress) => Ok(()),
    };
    drop(sources);
    match outcome {
        Ok(()) => owner.finish().await,
        Err(reason) => {
            tracing::error!(view = V::NAME, reason, "folding stopped");
            progress.send_modify(|progress| progress.stopped = Some(reason));
            stopping.await;
        }
    }
}

/// Asks for the ends of the logs from time to time, for ever.
async fn watch_heads<V: View>(log: &SharedLog, progress: &watch::Sender<Progress>) {
    loop {
        for &service in V::SOURCES {
            // A log that does not answer now is noticed, and said, by its subscription.
            if let Ok(head) = log.head(service).await {
                progress.send_if_modified(|progress| {
                    let moved = head > progress.heads.get(service);
                    progress.heads.advance(service, head);
                    moved
                });
            }
        }
        tokio::time::sleep(HEADS_EVERY).await;
    }
}

/// All that changes a view.
struct Owner<V> {
    folded: Arc<RwLock<Folded<V>>>,
    progress: watch::Sender<Progress>,
    tips: Tips,
    chains: [ChainVerifier; 4],
    caught_up: [bool; 4],
    dirty: Dirty,
    /// Keys taken from `dirty`, still to be written.
    unwritten: Vec<Vec<u8>>,
    /// Not here while a batch is being written, and after the store failed.
    store: Option<Store>,
    writing: Option<Writing>,
}

impl<V: View> Owner<V> {
    fn new(folded: Arc<RwLock<Folded<V>>>, progress: watch::Sender<Progress>) -> Self {
        Self {
            folded,
            progress,
            tips: Tips::default(),
            chains: chains(&Positions::ZERO),
            caught_up: Service::ALL.map(|service| !V::SOURCES.contains(&service)),
            dirty: Dirty::everything(),
            unwritten: Vec::new(),
            store: None,
            writing: None,
        }
    }

    /// Takes back what is stored, or empties the store.
    async fn load(&mut self, log: &SharedLog, kv: Arc<dyn Kv>, fresh: impl Fn() -> V) {
        let (mut store, view) = (Store::of::<V>(kv.clone()), fresh());
        let loaded = spawn_blocking(move || {
            let loaded = store.load(view);
            (store, loaded)
        });
        let reason = match loaded.await {
            Ok((store, Ok(Some((view, checkpoint))))) => {
                if same_log::<V>(log, &checkpoint.tips).await {
                    *self.folded.write() = Folded { view, positions: checkpoint.positions };
                    self.progress.send_modify(|progress| progress.positions = checkpoint.positions);
                    self.tips = checkpoint.tips;
                    self.chains = chains(&checkpoint.positions);
                    self.dirty = Dirty::default();
                    self.store = Some(store);
                    return;
                }
                "they are of another log".to_owned()
            }
            Ok((_, Ok(None))) => "there is no checkpoint".to_owned(),
            Ok((_, Err(reason))) => reason,
            Err(error) => error.to_string(),
        };
        tracing::info!(view = V::NAME, reason, "stored rows are not used; folding from the beginning");
        let mut store = Store::of::<V>(kv);
        let cleared = spawn_blocking(move || {
            let cleared = store.clear();
            (store, cleared)
        });
        self.took_back(cleared.await);
    }

    /// Folds whatever comes; ends with the reason why it cannot go on.
    async fn work(&mut self, sources: &mut Sources) -> String {
        let mut tick = tokio::time::interval(WRITE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(first) = sources.next() => {
                    let run = gather(first, sources);
                    let long = run.iter().any(|(_, item)| matches!(item, Ok(Delivery::Events(e)) if e.len() > 1));
                    if let Err(reason) = self.fold(run) {
                        return reason;
                    }
                    if self.dirty.rows.len() >= WRITE_ROWS {
                        self.write_behind();
                    }
                    if long {
                        tokio::task::yield_now().await;
                    }
                }
                written = written(&mut self.writing) => {
                    self.took_back(written);
                    let torn = self.store.as_ref().is_some_and(|store| store.checkpoint().is_none());
                    if torn || self.dirty.rows.len() >= WRITE_ROWS {
                        self.write_behind();
                    }
                }
                _ = tick.tick() => self.write_behind(),
            }
        }
    }

    /// Folds a run of deliveries under one hold of the lock.
    fn fold(&mut self, run: Vec<Item>) -> Result<(), String> {
        let _entered = self.span(&run).entered();
        let mut folded = self.folded.write();
        let Folded { view, positions } = &mut *folded;
        let (before, mut events, mut outcome) = (*positions, 0, Ok(()));
        for (service, delivery) in run {
            outcome = match delivery {
                Ok(Delivery::Events(delivered)) => delivered.iter().try_for_each(|event| {
                    if event.position <= positions.get(service) {
                        return Ok(());
                    }
                    self.chains[service as usize - 1].check(event).map_err(|error| error.to_string())?;
                    view.apply(event, &mut self.dirty).map_err(|error| error.to_string())?;
                    positions.advance(service, event.position);
                    self.tips.set(service, event.position, event.event_id);
                    events += 1;
                    Ok(())
                }),
                Ok(Delivery::CaughtUp(position)) => {
                    positions.advance(service, position);
                    self.caught_up[service as usize - 1] = true;
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            };
            if outcome.is_err() {
                break;
            }
        }
        if *positions != before {
            view.settle(positions, &mut self.dirty);
        }
        let positions = *positions;
        RwLockWriteGuard::unlock_fair(folded);
        self.publish(positions, events);
        outcome
    }

    /// A span for folding what has just happened, linked to the work that made it happen. What is replayed is nobody's
    /// work any more.
    fn span(&self, run: &[Item]) -> Span {
        if !self.caught_up.iter().all(|caught_up| *caught_up) {
            return Span::none();
        }
        let events = run.iter().flat_map(|(_, delivery)| match delivery {
            Ok(Delivery::Events(events)) => events.as_slice(),
            Ok(Delivery::CaughtUp(_)) | Err(_) => &[],
        });
        let mut traced = events.filter_map(|event| event.context.traceparent.as_deref()).peekable();
        if traced.peek().is_none() {
            return Span::none();
        }
        let span = info_span!(parent: None, "fold", view = V::NAME);
        traced.take(LINKS_MAX).for_each(|traceparent| context::link(&span, traceparent));
        span
    }

    fn publish(&mut self, positions: Positions, events: u64) {
        let caught_up = self.caught_up.iter().all(|caught_up| *caught_up);
        self.progress.send_modify(|progress| {
            progress.positions = positions;
            progress.heads = progress.heads.join(positions);
            progress.events += events;
            progress.rows_pending = self.dirty.rows.len() + self.unwritten.len();
            progress.caught_up = caught_up;
        });
    }

    /// Starts to write the next batch of changed rows, if there are any, none is under way, and the view has caught up:
    /// until then rows change too often to be worth it.
    fn write_behind(&mut self) {
        if !self.caught_up.iter().all(|caught_up| *caught_up) {
            return;
        }
        let Some(mut store) = self.store.take() else { return };
        match self.next_write(store.checkpoint()) {
            None => self.store = Some(store),
            Some(write) => {
                self.writing = Some(spawn_blocking(move || {
                    let outcome = store.write(write);
                    (store, outcome)
                }));
            }
        }
    }

    /// Encodes the next batch; `None` when the store has everything.
    fn next_write(&mut self, stored: Option<Positions>) -> Option<Write> {
        let folded = self.folded.read();
        if std::mem::take(&mut self.dirty.all) {
            folded.view.row_keys(&mut |key| self.unwritten.push(key.to_vec()));
        }
        let (mut rows, mut bytes, mut complete) = (Vec::new(), 0, false);
        while rows.len() < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX {
            if self.unwritten.is_empty() {
                self.unwritten.extend(self.dirty.rows.drain());
            }
            let Some(key) = self.unwritten.pop() else {
                complete = true;
                break;
            };
            self.dirty.rows.remove(&key);
            let value = folded.view.encode_row(&key);
            bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            rows.push((key, value));
        }
        complete |= self.unwritten.is_empty() && self.dirty.rows.is_empty();
        if rows.is_empty() && stored == Some(folded.positions) {
            return None;
        }
        Some(Write { rows, complete: complete.then_some((folded.positions, self.tips)) })
    }

    /// Takes the store back from the blocking thread; one that failed is given up until the next start.
    fn took_back(&mut self, outcome: Result<(Store, Result<(), KvError>), tokio::task::JoinError>) {
        let reason = match outcome {
            Ok((store, Ok(()))) => {
                self.store = Some(store);
                return;
            }
            Ok((_, Err(error))) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(view = V::NAME, reason, "the view is not written any more; it goes on in memory");
        self.unwritten = Vec::new();
        // As if from the beginning: what nobody will write need not be remembered.
        self.dirty = Dirty::everything();
        self.progress.send_modify(|progress| progress.store_failed = true);
    }

    /// Writes what is left, if that is worth it.
    async fn finish(&mut self) {
        if self.writing.is_some() {
            let outcome = written(&mut self.writing).await;
            self.took_back(outcome);
        }
        let torn = self.store.as_ref().is_some_and(|store| store.checkpoint().is_none());
        if !torn && self.unwritten.len() + self.dirty.rows.len() > LAST_ROWS_MAX {
            return;
        }
        loop {
            self.write_behind();
            if self.writing.is_none() {
                break;
            }
            let outcome = written(&mut self.writing).await;
            self.took_back(outcome);
        }
        if let Some(store) = self.store.take()
            && let Ok(Err(error)) = spawn_blocking(move || store.flush()).await
        {
            tracing::warn!(view = V::NAME, %error, "the view may not be written to its end");
        }
    }
}

/// Verifiers that go on after these positions. Engines differ in whether they count without a gap: versions and hashes
/// tell what is missing from a stream, whatever the engine.
fn chains(positions: &Positions) -> [ChainVerifier; 4] {
    Service::ALL.map(|service| match positions.get(service) {
        0 => ChainVerifier::new(service, false),
        after => ChainVerifier::resumed(service, false, after),
    })
}

/// Takes along what is ready by now, up to a limit.
fn gather(first: Item, sources: &mut Sources) -> Vec<Item> {
    let count = |item: &Item| match &item.1 {
        Ok(Delivery::Events(events)) => events.len(),
        Ok(Delivery::CaughtUp(_)) | Err(_) => 0,
    };
    let mut events = count(&first);
    let mut run = vec![first];
    while events < RUN_EVENTS_MAX
        && let Some(Some(item)) = sources.next().now_or_never()
    {
        events += count(&item);
        run.push(item);
    }
    run
}

/// Waits for the batch under way; for ever when there is none. Safe to cancel.
async fn written(
    writing: &mut Option<Writing>,
) -> Result<(Store, Result<(), KvError>), tokio::task::JoinError> {
    let outcome = match writing {
        Some(writing) => writing.await,
        None => pending().await,
    };
    *writing = None;
    outcome
}

/// Whether the log still has, at the same places, the events that were folded last. Waits for a log that does not answer.
async fn same_log<V: View>(log: &SharedLog, tips: &Tips) -> bool {
    for &service in V::SOURCES {
        let Some((position, event)) = tips.get(service) else { continue };
        if !Source::new(log.clone(), service, position - 1, V::NAME).has(position, event).await {
            return false;
        }
    }
    true
}
