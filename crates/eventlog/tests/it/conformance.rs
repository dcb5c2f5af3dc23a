//! Every engine keeps every promise.

use std::sync::Arc;

use muster_eventlog::conformance;
use muster_eventlog::embedded::EmbeddedLog;
use muster_eventlog::jetstream::{JetStreamLog, Options, SyncCheck};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_testkit::nats::{NatsCluster, NatsServer, Sync};

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_memory_keeps_every_promise() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    conformance::all(&log, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_one_machine_keeps_every_promise() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let log: SharedLog =
        Arc::new(EmbeddedLog::open(dir.path(), Default::default()).expect("a fresh log opens"));
    conformance::all(&log, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_one_nats_server_keeps_every_promise() -> anyhow::Result<()> {
    let server = NatsServer::start(Sync::Always).await?;
    let options = Options { sync: SyncCheck::Monitor(vec![server.monitor_url()]), ..Options::default() };
    let log: SharedLog = Arc::new(JetStreamLog::connect(&server.url(), options).await?);
    conformance::all(&log, true).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_three_nats_servers_keeps_every_promise() -> anyhow::Result<()> {
    let cluster = NatsCluster::start(Sync::Always).await?;
    let log: SharedLog = Arc::new(super::jetstream::replicated(&cluster).await?);
    conformance::all(&log, true).await;
    Ok(())
}
