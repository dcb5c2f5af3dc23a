//! Durable appends to the embedded log against single appends, each a write and an fdatasync.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};
use muster_eventlog::EventLog as _;
use muster_eventlog::embedded::EmbeddedLog;
use muster_types::Version;

use crate::events;
use crate::measure::{Row, rate};

const IN_FLIGHT: usize = 256;
const APPENDS: usize = 50_000;
const SINGLE_APPENDS: usize = 1_000;

/// Measures both in turn.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let bare = single()?;
        pairs.push((embedded().await?, bare));
    }
    Ok(Row::of_rates("durable append, embedded, 256 in flight", &pairs, 10.0))
}

async fn embedded() -> anyhow::Result<f64> {
    let dir = tempfile::tempdir_in(".")?;
    let log = Arc::new(EmbeddedLog::open(dir.path(), muster_eventlog::embedded::Options::default())?);
    let appends: Vec<_> = (0..APPENDS).map(|n| events::append(events::stream(n), Version::NONE, n)).collect();
    let start = Instant::now();
    let mut acknowledged = stream::iter(appends)
        .map(|append| {
            let log = log.clone();
            async move { log.append(vec![append]).await }
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(outcome) = acknowledged.next().await {
        outcome?;
    }
    Ok(rate(APPENDS, start.elapsed()))
}

fn single() -> anyhow::Result<f64> {
    let dir = tempfile::tempdir_in(".")?;
    let mut file = File::create(dir.path().join("single"))?;
    let payload = events::payload(1);
    let start = Instant::now();
    for _ in 0..SINGLE_APPENDS {
        file.write_all(&payload)?;
        file.sync_data()?;
    }
    Ok(rate(SINGLE_APPENDS, start.elapsed()))
}
