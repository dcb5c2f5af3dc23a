//! Statuses of devices by the report service's command path, from the bytes that a device sends, against bare appends of
//! events of that size to the same log.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project;
use muster_proto::policy::v1::SettingValue;
use muster_proto::policy::v1::setting_value::Kind;
use muster_proto::report::v1 as pb;
use muster_report::commands::Commands;
use muster_report::domain::device_status::Statement;
use muster_report::projection::Sightings;
use muster_types::{DeviceId, Service, SystemClock, TenantId, Version};
use prost::Message as _;
use tokio::task::JoinSet;

use crate::events;
use crate::measure::{Row, rate};

const IN_FLIGHT: usize = 256;
const DEVICES: usize = 20_000;
const SETTINGS: usize = 40;

/// Measures both in turn.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let requests: Arc<[Vec<u8>]> = (0..DEVICES).map(request).collect();
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let bare = appends(requests.clone()).await?;
        pairs.push((statuses(requests.clone()).await?, bare));
    }
    Ok(Row::of_rates("status ingest, 40 settings, 256 in flight", &pairs, 0.5))
}

/// What the n-th device sends: the bytes of its event are the same.
fn request(n: usize) -> Vec<u8> {
    let value = |kind| Some(SettingValue { kind: Some(kind) });
    let setting = |at: usize| {
        let value = match at % 3 {
            0 => value(Kind::Boolean(true)),
            1 => value(Kind::Integer(30)),
            _ => value(Kind::Text("real_time".to_owned())),
        };
        pb::SettingStatus {
            id: format!("linux-antivirus/a_setting_of_the_product_{at:02}"),
            desired: value.clone(),
            observed: value,
            state: pb::SettingState::Succeeded.into(),
            ..Default::default()
        }
    };
    let status = pb::DeviceStatus {
        policy_etag: vec![7; 32],
        policy_version: n as u64 + 1,
        apply_time: Some(prost_types::Timestamp { seconds: 1_780_000_000, nanos: 0 }),
        settings: (0..SETTINGS).map(setting).collect(),
        refused_reason: String::new(),
    };
    pb::ReportStatusRequest { status: Some(status) }.encode_to_vec()
}

fn open() -> anyhow::Result<(tempfile::TempDir, SharedLog)> {
    let dir = tempfile::tempdir_in(".")?;
    let log = EmbeddedLog::open(dir.path(), Options::default())?;
    Ok((dir, Arc::new(log)))
}

async fn appends(requests: Arc<[Vec<u8>]>) -> anyhow::Result<f64> {
    let (_dir, log) = open()?;
    drive(move |n| {
        let (log, payload) = (log.clone(), requests[n].clone());
        async move {
            log.append(vec![events::append_of(events::stream(n), Version::NONE, payload)]).await?;
            Ok(())
        }
    })
    .await
}

/// The rate of first statuses; that they are all said again costs no append.
async fn statuses(requests: Arc<[Vec<u8>]>) -> anyhow::Result<f64> {
    let (_dir, log) = open()?;
    let kv = Arc::new(MemoryKv::default());
    // Nothing is folded: the thresholds are as by default.
    let (sightings, _) = project::start(log.clone(), kv, Sightings::default, std::future::pending());
    let commands = Commands::new(TenantId::DEFAULT, log.clone(), Arc::new(SystemClock), sightings);
    let commands = Arc::new(commands);
    let report = move |n: usize| {
        let (commands, requests) = (commands.clone(), requests.clone());
        async move {
            let message = pb::ReportStatusRequest::decode(&*requests[n])?.status.unwrap_or_default();
            let device = DeviceId::from_uuid(events::stream(n).id);
            commands.report_status((TenantId::DEFAULT, device), Statement::try_from(message)?).await?;
            Ok(())
        }
    };
    let rate = drive(report.clone()).await?;
    drive(report).await?;
    let head = log.head(Service::Report).await?;
    anyhow::ensure!(head == DEVICES as u64, "{DEVICES} statuses made {head} events");
    Ok(rate)
}

/// How many a second, with so many in flight.
async fn drive<F, W>(work: W) -> anyhow::Result<f64>
where
    F: Future<Output = anyhow::Result<()>> + Send,
    W: Fn(usize) -> F + Clone + Send + 'static,
{
    let (next, start) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut workers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (next, work) = (next.clone(), work.clone());
        workers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= DEVICES {
                    return anyhow::Ok(());
                }
                work(n).await?;
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(rate(DEVICES, start.elapsed()))
}
