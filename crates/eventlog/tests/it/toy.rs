//! A small view over two logs, a log that misbehaves on request, and stores that lose things.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::BoxFuture;
use muster_eventlog::kv::{Batch, Kv, KvError, MemoryKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::{self, Dirty, FoldError, Progress, Projected, View};
use muster_eventlog::{
    Actor, Append, AppendError, Appended, Context, Delivery, Envelope, EventLog, EventType, NewEvent,
    ReadError, Subscription,
};
use muster_types::{Aggregate, EventId, Positions, Service, StreamId, TenantId, Timestamp, Version};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Payload that ends an aggregate; the next event begins it anew.
pub(crate) const GONE: u8 = 0;
/// Payload that the toy cannot fold.
pub(crate) const POISON: u8 = 255;

/// Stream number `n` of a service.
pub(crate) fn stream(service: Service, n: u16) -> StreamId {
    let aggregate = match service {
        Service::Enroll => Aggregate::Enrollment,
        Service::Identity => Aggregate::Registration,
        Service::Policy => Aggregate::Policy,
        Service::Report => Aggregate::DeviceStatus,
    };
    StreamId::new(TenantId::DEFAULT, aggregate, Uuid::from_u128(u128::from(n)))
}

/// Appends one event with a one-byte payload.
pub(crate) async fn add(log: &dyn EventLog, service: Service, n: u16, payload: u8) -> u64 {
    let stream = stream(service, n);
    let version = Version(log.read(stream, Version::NONE).await.expect("readable").len() as u64);
    append(log, vec![new(stream, version, payload)]).await
}

/// Appends one event to each of `count` fresh streams, a thousand at a time.
pub(crate) async fn add_many(log: &dyn EventLog, service: Service, count: u16, version: u64, payload: u8) {
    let all: Vec<_> = (0..count).map(|n| new(stream(service, n), Version(version), payload)).collect();
    for appends in all.chunks(1_000) {
        append(log, appends.to_vec()).await;
    }
}

/// Appends the first event of a stream, of a type and with a payload.
pub(crate) async fn add_of(
    log: &dyn EventLog,
    stream: StreamId,
    kind: &'static str,
    payload: Vec<u8>,
) -> u64 {
    let mut new = new(stream, Version::NONE, 0);
    new.events[0].kind = EventType::new(kind);
    new.events[0].payload = payload.into();
    append(log, vec![new]).await
}

/// Appends many events to a stream at once.
pub(crate) async fn append_events(
    log: &dyn EventLog,
    stream: StreamId,
    expected: Version,
    count: u64,
    payload: &[u8],
) -> u64 {
    let mut new = new(stream, expected, 0);
    let event = new.events.remove(0);
    let fresh = || EventId::from_uuid(Uuid::new_v4());
    let payload = bytes::Bytes::copy_from_slice(payload);
    let events = (0..count).map(|_| NewEvent { id: fresh(), payload: payload.clone(), ..event.clone() });
    new.events = events.collect();
    append(log, vec![new]).await
}

async fn append(log: &dyn EventLog, appends: Vec<Append>) -> u64 {
    log.append(appends).await.expect("accepted").position
}

fn new(stream: StreamId, expected: Version, payload: u8) -> Append {
    let context = Context {
        actor: Actor::admin("ann"),
        time: Timestamp::from_micros(1_000),
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    };
    let kind = EventType::new("muster.toy.v1.Happened");
    let event = NewEvent { id: EventId::from_uuid(Uuid::new_v4()), kind, payload: vec![payload].into() };
    Append { stream, expected, events: vec![event], context }
}

/// Counts and keeps the last payload of each half of a pair; a pair with both halves has a row of its own.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Toy<const CONTRACT: u32 = 1> {
    halves: BTreeMap<(Uuid, u8), (u64, u8)>,
    pairs: BTreeMap<Uuid, u8>,
    pub(crate) settled: Positions,
}

impl<const CONTRACT: u32> Toy<CONTRACT> {
    pub(crate) fn half(&self, service: Service, n: u16) -> Option<(u64, u8)> {
        self.halves.get(&(Uuid::from_u128(u128::from(n)), service as u8)).copied()
    }

    pub(crate) fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        self.row_keys(&mut |key| {
            let value = self.encode_row(key).expect("a key that was named has a row");
            assert!(rows.insert(key.to_vec(), value).is_none(), "a key was named twice");
        });
        rows
    }

    fn join(&mut self, id: Uuid, dirty: &mut Dirty) {
        let halves = [Service::Enroll, Service::Identity].map(|s| self.halves.get(&(id, s as u8)));
        let pair = match halves {
            [Some((_, a)), Some((_, b))] => Some(a ^ b),
            _ => None,
        };
        let before = match pair {
            Some(value) => self.pairs.insert(id, value),
            None => self.pairs.remove(&id),
        };
        if before != pair {
            dirty.mark(key(id, b'p'));
        }
    }
}

fn key(id: Uuid, kind: u8) -> [u8; 17] {
    let mut key = [kind; 17];
    key[..16].copy_from_slice(id.as_bytes());
    key
}

impl<const CONTRACT: u32> View for Toy<CONTRACT> {
    const NAME: &'static str = "toy";
    const CONTRACT: u32 = CONTRACT;
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let (id, service) = (event.stream.id, event.stream.service() as u8);
        let payload = *event.payload.first().ok_or_else(|| FoldError::new(event, "empty"))?;
        match payload {
            POISON => return Err(FoldError::new(event, "poison")),
            GONE => drop(self.halves.remove(&(id, service))),
            payload => {
                let half = self.halves.entry((id, service)).or_default();
                *half = (half.0 + 1, payload);
            }
        }
        dirty.mark(key(id, service));
        self.join(id, dirty);
        Ok(())
    }

    fn settle(&mut self, positions: &Positions, _dirty: &mut Dirty) {
        self.settled = *positions;
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.halves.keys().for_each(|(id, service)| row(&key(*id, *service)));
        self.pairs.keys().for_each(|id| row(&key(*id, b'p')));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (id, kind) = (Uuid::from_slice(&key[..16]).ok()?, key[16]);
        if kind == b'p' {
            return self.pairs.get(&id).map(|pair| vec![*pair]);
        }
        let (count, last) = self.halves.get(&(id, kind))?;
        Some([&count.to_be_bytes()[..], &[*last]].concat())
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let (id, kind) = (Uuid::from_slice(&key[..16]).map_err(|e| e.to_string())?, key[16]);
        match (kind, value) {
            (b'p', [pair]) => drop(self.pairs.insert(id, *pair)),
            (_, [count @ .., last]) => {
                let count = u64::from_be_bytes(count.try_into().map_err(|_| "no count")?);
                self.halves.insert((id, kind), (count, *last));
            }
            _ => return Err("neither half nor pair".to_owned()),
        }
        Ok(())
    }

    fn loaded(&mut self, positions: &Positions) {
        self.settled = *positions;
    }
}

/// A toy that is being folded, and the way to stop it.
pub(crate) struct Running<const CONTRACT: u32 = 1> {
    pub(crate) toy: Projected<Toy<CONTRACT>>,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl<const CONTRACT: u32> Running<CONTRACT> {
    #[expect(clippy::disallowed_methods, reason = "the test awaits or aborts it")]
    pub(crate) fn start(log: &SharedLog, kv: &Arc<dyn Kv>) -> Self {
        let stopping = CancellationToken::new();
        let (toy, fold) = project::start(
            log.clone(),
            kv.clone(),
            Toy::<CONTRACT>::default,
            stopping.clone().cancelled_owned(),
        );
        Self { toy, stopping, task: tokio::spawn(fold) }
    }

    /// Waits until it has folded all that the log has, and gives what it was like at its start.
    pub(crate) async fn caught_up(&self, log: &dyn EventLog) -> Positions {
        let first = self.until(|progress| progress.positions != Positions::ZERO || progress.caught_up).await;
        let mut heads = Positions::ZERO;
        for &service in <Toy as View>::SOURCES {
            heads.advance(service, log.head(service).await.expect("readable"));
        }
        self.until(|progress| progress.caught_up && progress.positions == heads).await;
        first.positions
    }

    pub(crate) async fn until(&self, reached: impl FnMut(&Progress) -> bool) -> Progress {
        self.toy.watch().wait_for(reached).await.expect("still folding").clone()
    }

    /// Stops in good order: what changed is written.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        self.task.await.expect("no panic");
    }

    /// Stops as a crash would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _gone = self.task.await;
    }
}

/// How a [`MoodyLog`] delivers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moods {
    /// Sizes of deliveries, in turn; as they come when empty.
    pub(crate) sizes: Vec<usize>,
    /// How many positions before the wanted one a subscription begins.
    pub(crate) redelivered: u64,
    /// After how many deliveries a subscription breaks.
    pub(crate) breaks_after: Option<usize>,
    /// From which position on of the enroll log everything is damaged.
    pub(crate) corrupt_from: Option<u64>,
    /// A position that is left out.
    pub(crate) lost: Option<u64>,
}

/// A memory log that delivers in odd ways.
pub(crate) struct MoodyLog {
    inner: MemoryLog,
    moods: Moods,
    pub(crate) subscriptions: AtomicUsize,
}

impl MoodyLog {
    pub(crate) fn new(moods: Moods) -> Arc<Self> {
        Arc::new(Self { inner: MemoryLog::default(), moods, subscriptions: AtomicUsize::new(0) })
    }
}

impl EventLog for MoodyLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.inner.append(appends)
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        self.inner.read(stream, after)
    }

    #[expect(clippy::disallowed_methods, reason = "the task ends with the subscription")]
    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        Box::pin(async move {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
            let from = after.saturating_sub(self.moods.redelivered);
            let mut inner = self.inner.subscribe(service, from).await?;
            let (sender, subscription) = Subscription::channel();
            let moods = self.moods.clone();
            tokio::spawn(async move {
                let mut sizes = moods.sizes.iter().copied().cycle();
                let mut left = moods.breaks_after.unwrap_or(usize::MAX);
                while let Ok(Some(delivery)) = inner.next().await {
                    let parts = match delivery {
                        Delivery::CaughtUp(_) => vec![Ok(delivery)],
                        Delivery::Events(mut events) => {
                            events.retain(|event| Some(event.position) != moods.lost);
                            cut(service, events, &mut sizes, moods.corrupt_from)
                        }
                    };
                    for part in parts {
                        let part = if left == 0 {
                            Err(ReadError::Unavailable { reason: "a bad mood".to_owned() })
                        } else {
                            part
                        };
                        let over = part.is_err();
                        left = left.saturating_sub(1);
                        if sender.send(part).await.is_err() || over {
                            return;
                        }
                    }
                }
            });
            Ok(subscription)
        })
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        self.inner.head(service)
    }
}

fn cut(
    service: Service,
    mut events: Vec<Envelope>,
    sizes: &mut impl Iterator<Item = usize>,
    corrupt_from: Option<u64>,
) -> Vec<Result<Delivery, ReadError>> {
    let mut parts = Vec::new();
    while !events.is_empty() {
        let size = sizes.next().unwrap_or(events.len()).clamp(1, events.len());
        let rest = events.split_off(size);
        let first = events[0].position;
        if service == Service::Enroll && corrupt_from.is_some_and(|from| first >= from) {
            parts.push(Err(ReadError::Corrupt { service, position: first, reason: "a gap".to_owned() }));
            break;
        }
        parts.push(Ok(Delivery::Events(events)));
        events = rest;
    }
    parts
}

/// A store whose process is killed after some batches: later ones are never written.
pub(crate) struct MortalKv {
    pub(crate) rows: MemoryKv,
    batches_left: AtomicUsize,
    pub(crate) dead: AtomicBool,
}

impl MortalKv {
    pub(crate) fn new(rows: MemoryKv, batches: usize) -> Arc<Self> {
        Arc::new(Self { rows, batches_left: AtomicUsize::new(batches), dead: AtomicBool::new(false) })
    }
}

impl Kv for MortalKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.rows.get(key)
    }

    fn scan(&self, prefix: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), KvError> {
        self.rows.scan(prefix, row)
    }

    fn apply(&self, batch: Batch) -> Result<(), KvError> {
        let left = self.batches_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_err() {
            self.dead.store(true, Ordering::SeqCst);
            return Err(KvError { reason: "killed".to_owned() });
        }
        self.rows.apply(batch)
    }

    fn clear(&self, prefix: &[u8]) -> Result<(), KvError> {
        self.rows.clear(prefix)
    }
}
