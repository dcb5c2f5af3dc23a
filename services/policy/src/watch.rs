//! Open watches: who waits for a hint, and how a hint gets there.
//!
//! A device has at most one watch and a watch at most one hint that waits: a newer one replaces it and keeps its place in
//! the queue. Hints leave in the order in which their devices came to wait, at most so many a second, so that the
//! check-ins that they cause do not come all at once.

mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use muster_types::{DeviceId, Digest};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::PolicyMetrics;
use queue::Queue;

/// Watches at once; more are refused, and their devices are only later.
pub const WATCHES_MAX: usize = 200_000;
/// Shortest life of a watch by its device; the longest is twice as long.
const LIFE_MIN: Duration = Duration::from_secs(30 * 60);
/// Share by which a life is longer or shorter, by the opening.
const LIFE_SPREAD: f64 = 0.1;
/// Within this a device watches again when its watch's time is over, or the process stops and few are open.
const RECONNECT_MIN: Duration = Duration::from_secs(5);

/// Why a device should check in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Etag that waits for the device.
    pub etag: Digest,
    /// The device should check in at a random moment within this time. Set when the hint leaves.
    pub spread: Duration,
    /// W3C trace context of the change.
    pub traceparent: Option<Arc<str>>,
}

/// What a watch has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A check-in is worth it.
    Hint(Hint),
    /// The process stops: watch again at a random moment within this time, elsewhere.
    Drained(Duration),
    /// A newer watch of the device took over.
    TakenOver,
}

impl Next {
    /// The hint, if it is one.
    #[must_use]
    pub fn hint(self) -> Option<Hint> {
        match self {
            Self::Hint(hint) => Some(hint),
            Self::Drained(_) | Self::TakenOver => None,
        }
    }
}

/// The open watches of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: RwLock<Open>,
    queue: Mutex<Queue>,
    more: Notify,
    max: usize,
    metrics: PolicyMetrics,
}

#[derive(Debug, Default)]
struct Open {
    serial: u64,
    by_device: FxHashMap<DeviceId, Arc<Slot>>,
    ordinals: RoaringBitmap,
    /// The process stops: within this, those who watch shall do so elsewhere.
    drained: Option<Duration>,
}

/// Where a watch and its hints meet.
#[derive(Debug)]
struct Slot {
    serial: u64,
    ordinal: Option<u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hint: Option<Hint>,
    place: Place,
    taken_over: bool,
    /// Nobody listens any more.
    closed: bool,
    drained: Option<Duration>,
    reader: Option<Waker>,
}

/// Where a hint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// There is none.
    #[default]
    Nowhere,
    /// In the queue.
    Queued,
    /// It may leave.
    Free,
}

/// An open watch. Closes when it is dropped.
#[derive(Debug)]
pub struct Watch {
    device: DeviceId,
    slot: Arc<Slot>,
    all: Watches,
}

impl Watches {
    /// No watch is open.
    #[must_use]
    pub fn new(metrics: PolicyMetrics) -> Self {
        Self::at_most(WATCHES_MAX, metrics)
    }

    fn at_most(max: usize, metrics: PolicyMetrics) -> Self {
        let queue = Mutex::new(Queue::new(Instant::now()));
        Self(Arc::new(Shared { open: RwLock::default(), queue, more: Notify::new(), max, metrics }))
    }

    /// Opens a device's watch; one that it has ends. `None` when there are too many.
    #[must_use]
    pub fn open(&self, device: DeviceId, ordinal: Option<u32>) -> Option<Watch> {
        let Shared { open, max, metrics, .. } = &*self.0;
        let mut open = open.write();
        if open.by_device.len() >= *max && !open.by_device.contains_key(&device) {
            metrics.watch_refused();
            return None;
        }
        open.serial += 1;
        let state = State { drained: open.drained, ..State::default() };
        let slot = Arc::new(Slot { serial: open.serial, ordinal, state: Mutex::new(state) });
        if let Some(older) = open.by_device.insert(device, slot.clone()) {
            older.change(|state| state.taken_over = true);
        }
        if let Some(ordinal) = ordinal {
            open.ordinals.insert(ordinal);
        }
        metrics.watches_open(open.by_device.len());
        Some(Watch { device, slot, all: self.clone() })
    }

    /// Whether a device has a watch open.
    #[must_use]
    pub fn is_open(&self, device: DeviceId) -> bool {
        self.0.open.read().by_device.contains_key(&device)
    }

    /// Whether nobody watches, so that there is nobody to hint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.open.read().by_device.is_empty()
    }

    /// Of some ordinals, those whose devices watch.
    #[must_use]
    pub fn watching(&self, ordinals: &RoaringBitmap) -> RoaringBitmap {
        &self.0.open.read().ordinals & ordinals
    }

    /// So many hints leave a second, at most.
    pub fn cap(&self, hints_per_second: u32) {
        self.0.queue.lock().cap(hints_per_second);
        self.0.more.notify_one();
    }

    /// Hints those devices that watch. Never waits for them: hints beyond the cap leave later, by [`Watches::run`].
    pub fn hint(&self, hints: impl IntoIterator<Item = (DeviceId, Hint)>) {
        let Shared { open, queue, more, metrics, .. } = &*self.0;
        let queued: Vec<_> = {
            let open = open.read();
            let queued = hints.into_iter().filter_map(|(device, hint)| {
                let slot = open.by_device.get(&device)?;
                slot.await_turn(hint).then(|| slot.clone())
            });
            queued.collect()
        };
        if queued.is_empty() {
            return;
        }
        queue.lock().push(queued, metrics);
        if self.let_out().is_some() {
            more.notify_one();
        }
    }

    /// Lets hints out as they come due until the process stops, and then sends all watches elsewhere, spread so that they
    /// do not come at once.
    pub async fn run(self, stopping: CancellationToken) {
        loop {
            let pause = self.let_out();
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.0.more.notified() => {}
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
        self.drain();
    }

    /// Lets out the hints that are due, and tells when to look again if some wait.
    fn let_out(&self) -> Option<Duration> {
        let Shared { queue, metrics, .. } = &*self.0;
        let (readers, pause) = queue.lock().let_out(Instant::now(), metrics);
        readers.into_iter().for_each(Waker::wake);
        pause
    }

    fn drain(&self) {
        let rate = self.0.queue.lock().rate();
        let mut open = self.0.open.write();
        let within = reconnect_within(open.by_device.len(), rate);
        open.drained = Some(within);
        for slot in open.by_device.values() {
            slot.change(|state| state.drained = Some(within));
        }
    }
}

/// Within how long so many watches should open again, elsewhere, at this rate.
fn reconnect_within(watches: usize, rate: u32) -> Duration {
    let seconds = u64::try_from(watches).unwrap_or(u64::MAX).div_ceil(u64::from(rate.max(1)));
    Duration::from_secs(seconds).max(RECONNECT_MIN)
}

impl Slot {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let reader = {
            let mut state = self.state.lock();
            change(&mut state);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Keeps a hint until it may leave. Whether it must be queued: one that is there already gives its place.
    fn await_turn(&self, hint: Hint) -> bool {
        let mut state = self.state.lock();
        state.hint = Some(hint);
        let queue = state.place == Place::Nowhere;
        if queue {
            state.place = Place::Queued;
        }
        queue
    }

    /// Lets the hint leave, with a spread. `None` when nobody listens any more; else who waits for it.
    fn free(&self, spread: Duration) -> Option<Option<Waker>> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.place = Place::Free;
        if let Some(hint) = &mut state.hint {
            hint.spread = spread;
        }
        Some(state.reader.take())
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    fn take(&mut self) -> Option<Hint> {
        self.place = Place::Nowhere;
        self.hint.take()
    }
}

impl Watch {
    /// How long it lives: 30 to 60 minutes, by the device and by the opening, so that those opened together do not end
    /// together.
    #[must_use]
    pub fn life(&self) -> Duration {
        let of_device = LIFE_MIN + LIFE_MIN.mul_f64(crate::checkin::share(self.device));
        let of_opening = crate::checkin::share_of(self.slot.serial);
        of_device.mul_f64((2.0 * of_opening - 1.0).mul_add(LIFE_SPREAD, 1.0))
    }

    /// Within how long the device should watch again when this watch's time is over.
    #[must_use]
    pub const fn reconnect_within(&self) -> Duration {
        RECONNECT_MIN
    }

    /// Looks for what to say next, and registers who wants to know.
    pub fn poll(&self, context: &Context<'_>) -> Poll<Next> {
        let mut state = self.slot.state.lock();
        if state.place == Place::Free
            && let Some(hint) = state.take()
        {
            return Poll::Ready(Next::Hint(hint));
        }
        if state.taken_over {
            return Poll::Ready(Next::TakenOver);
        }
        if let Some(within) = state.drained {
            return Poll::Ready(Next::Drained(within));
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes a hint that still waits for its turn, since the watch ends: it leaves spread over the time in which the
    /// device watches again.
    #[must_use]
    pub fn take_waiting(&self, spread: Duration) -> Option<Hint> {
        let hint = self.slot.state.lock().hint.take();
        hint.map(|hint| Hint { spread, ..hint })
    }

    /// Waits for the next thing to say. Safe to cancel.
    pub async fn next(&self) -> Next {
        std::future::poll_fn(|context| self.poll(context)).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Shared { open, queue, metrics, .. } = &*self.all.0;
        let queued = {
            let mut state = self.slot.state.lock();
            state.closed = true;
            state.place == Place::Queued
        };
        if queued {
            queue.lock().left(metrics);
        }
        let mut open = open.write();
        if open.by_device.get(&self.device).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            open.by_device.remove(&self.device);
            if let Some(ordinal) = self.slot.ordinal {
                open.ordinals.remove(ordinal);
            }
            metrics.watches_open(open.by_device.len());
        }
    }
}
