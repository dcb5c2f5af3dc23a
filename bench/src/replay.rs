//! Replay of the embedded log into a view against reading the same store, decoding and inserting into a hash map.
//!
//! Bare means: the same events from the same kind of store, without envelope, hash chain, checkpoint or write-behind.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::kv::{Kv, MemoryKv};
use muster_eventlog::project::{self, Dirty, FoldError, View};
use muster_eventlog::{Append, Envelope, EventLog as _};
use muster_proto::report::v1::{DeviceStatus, StatusReported};
use muster_types::{DeviceId, Service, Version};
use prost::Message as _;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::events;
use crate::measure::{Row, rate};

const EVENTS: usize = 400_000;
const IN_FLIGHT: usize = 1_024;
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(120);

/// Measures both in turn.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let dir = tempfile::tempdir_in(".")?;
    let log = Arc::new(EmbeddedLog::open(dir.path(), Options::default())?);
    fill(&log, (0..EVENTS).map(|n| events::append(events::stream(n), Version::NONE, n))).await?;
    let bare_dir = tempfile::tempdir_in(".")?;
    let payloads =
        bare_store(bare_dir.path(), (0..EVENTS).map(|n| (events::stream(n).id, events::payload(n))))?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let bare = bare(&payloads, EVENTS)?;
        let (took, rows) = view(log.clone(), MemoryKv::default(), |view: &Statuses| view.rows.len()).await?;
        anyhow::ensure!(rows == EVENTS, "the view lacks events");
        pairs.push((rate(EVENTS, took), bare));
    }
    Ok(Row::of_rates("replay into a view", &pairs, 0.5))
}

/// Appends, many in flight: streams of their own come in any order.
pub(crate) async fn fill(log: &EmbeddedLog, appends: impl Iterator<Item = Append>) -> anyhow::Result<()> {
    use futures::stream::{self, StreamExt as _};
    let mut acknowledged =
        stream::iter(appends).map(|append| log.append(vec![append])).buffer_unordered(IN_FLIGHT);
    while let Some(outcome) = acknowledged.next().await {
        outcome?;
    }
    Ok(())
}

/// The payloads of reports alone, each behind its device, in a store of the same kind.
pub(crate) fn bare_store(
    dir: &Path,
    reports: impl Iterator<Item = (Uuid, Vec<u8>)>,
) -> anyhow::Result<fjall::Keyspace> {
    let database = fjall::Database::builder(dir).open()?;
    let payloads = database.keyspace("payloads", fjall::KeyspaceCreateOptions::default)?;
    for (n, (device, payload)) in (0_u64..).zip(reports) {
        payloads.insert(n.to_be_bytes(), [&device.as_bytes()[..], &payload].concat())?;
    }
    payloads.rotate_memtable_and_wait()?;
    Ok(payloads)
}

/// Read, decode, insert so many; nothing else.
pub(crate) fn bare(payloads: &fjall::Keyspace, events: usize) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut statuses: FxHashMap<DeviceId, DeviceStatus> = FxHashMap::default();
    for row in payloads.iter() {
        let value = row.value()?;
        let (id, payload) = value.split_at(16);
        let status = StatusReported::decode(payload)?.status.unwrap_or_default();
        statuses.insert(DeviceId::from_slice(id)?, status);
    }
    anyhow::ensure!(statuses.len() == events, "the store lacks events");
    Ok(rate(events, start.elapsed()))
}

/// How long the runner takes over a log, with everything it checks and keeps, and what the view shows then.
pub(crate) async fn view<V: View + Default, T>(
    log: Arc<EmbeddedLog>,
    kv: impl Kv + 'static,
    shows: impl Fn(&V) -> T,
) -> anyhow::Result<(Duration, T)> {
    let start = Instant::now();
    let (projected, run) = project::start(log, Arc::new(kv), V::default, std::future::pending());
    #[expect(clippy::disallowed_methods, reason = "ends when it is aborted below")]
    let runner = tokio::spawn(run);
    let mut progress = projected.watch();
    let caught_up = progress.wait_for(|progress| progress.caught_up);
    tokio::time::timeout(CAUGHT_UP_WITHIN, caught_up).await??;
    let took = start.elapsed();
    let shown = shows(&projected.read());
    runner.abort();
    Ok((took, shown))
}

#[derive(Default)]
struct Statuses {
    rows: FxHashMap<DeviceId, DeviceStatus>,
}

impl View for Statuses {
    const NAME: &'static str = "bench-statuses";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Report];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let status = StatusReported::decode(event.payload.clone())
            .map_err(|error| FoldError::new(event, error.to_string()))?
            .status
            .unwrap_or_default();
        dirty.mark(*event.stream.id.as_bytes());
        self.rows.insert(DeviceId::from_uuid(event.stream.id), status);
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.rows.keys().for_each(|device| row(device.as_bytes()));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(&DeviceId::from_slice(key).ok()?).map(|status| status.encode_to_vec())
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let device = DeviceId::from_slice(key).map_err(|error| error.to_string())?;
        self.rows.insert(device, DeviceStatus::decode(value).map_err(|error| error.to_string())?);
        Ok(())
    }
}
