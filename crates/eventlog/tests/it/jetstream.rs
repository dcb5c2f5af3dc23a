//! The log on nats-servers: what it refuses, and what it survives.

mod rate;

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::conformance::{self, Disturbed};
use muster_eventlog::jetstream::{ConnectError, JetStreamLog, Options, SyncCheck};
use muster_eventlog::log::SharedLog;
use muster_eventlog::{AppendError, EventLog as _, ReadError};
use muster_testkit::nats::{NatsCluster, NatsServer, Sync};
use muster_types::Service;

/// Events that must come through between two blows.
const BETWEEN_BLOWS: u64 = 60;

pub(crate) async fn replicated(cluster: &NatsCluster) -> Result<JetStreamLog, ConnectError> {
    let sync = SyncCheck::Monitor(cluster.monitor_urls());
    let options =
        Options { replicas: 3, sync, connect_timeout: Duration::from_secs(60), ..Options::default() };
    JetStreamLog::connect(&cluster.urls(), options).await
}

fn single(server: &NatsServer) -> Options {
    Options { sync: SyncCheck::Monitor(vec![server.monitor_url()]), ..Options::default() }
}

async fn code(urls: &str, options: Options) -> &'static str {
    let refused = JetStreamLog::connect(urls, options).await.expect_err("it is refused");
    refused.code().as_str()
}

/// Waits until the log has grown by some events.
async fn growth(log: &SharedLog) {
    let mut subscription = None;
    let mut target = None;
    loop {
        let head = match log.head(Service::Identity).await {
            Ok(head) => head,
            Err(_) => continue,
        };
        if head >= *target.get_or_insert(head + BETWEEN_BLOWS) {
            return;
        }
        if subscription.is_none() {
            subscription = log.subscribe(Service::Identity, head).await.ok();
        }
        if let Some(following) = &mut subscription
            && following.next().await.is_err()
        {
            subscription = None;
        }
    }
}

#[tokio::test]
async fn a_server_that_syncs_lazily_is_refused_unless_somebody_vouches_for_it() -> anyhow::Result<()> {
    let lazy = NatsServer::start(Sync::Lazy).await?;
    assert_eq!(code(&lazy.url(), single(&lazy)).await, "NATS_LAZY_SYNC");
    let unasked = Options::default();
    assert_eq!(code(&lazy.url(), unasked).await, "NATS_LAZY_SYNC");
    let trusted = Options { sync: SyncCheck::Trust, ..Options::default() };
    JetStreamLog::connect(&lazy.url(), trusted).await?;
    let measured = || Options { sync: SyncCheck::MonitorOrMeasure(Vec::new()), ..Options::default() };
    assert_eq!(code(&lazy.url(), measured()).await, "NATS_LAZY_SYNC");
    let always = NatsServer::start(Sync::Always).await?;
    JetStreamLog::connect(&always.url(), measured()).await?;
    JetStreamLog::connect(&always.url(), single(&always)).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() -> anyhow::Result<()> {
    let mut server = NatsServer::start(Sync::Lazy).await?;
    server.kill().await?;
    let options = Options { connect_timeout: Duration::from_millis(300), ..single(&server) };
    assert_eq!(code(&server.url(), options.clone()).await, "NATS_UNREACHABLE");
    assert_eq!(code("nats://[nonsense", options).await, "CONFIG_INVALID");
    Ok(())
}

#[tokio::test]
async fn a_log_set_up_otherwise_is_refused() -> anyhow::Result<()> {
    let server = NatsServer::start(Sync::Always).await?;
    let client = async_nats::connect(server.url()).await?;
    let config = async_nats::jetstream::stream::Config {
        name: "MUSTER_POLICY".to_owned(),
        subjects: vec!["muster.v1.policy.>".to_owned()],
        ..Default::default()
    };
    async_nats::jetstream::new(client).create_stream(config).await?;
    let refused = JetStreamLog::connect(&server.url(), single(&server)).await.expect_err("it is refused");
    assert_eq!(refused.code().as_str(), "CONFIG_INVALID");
    assert!(refused.to_string().contains("MUSTER_POLICY") && refused.to_string().contains("deny_purge"));
    let options = Options { replicas: 2, ..single(&server) };
    assert_ne!(code(&server.url(), options).await, "NATS_UNREACHABLE");
    Ok(())
}

#[tokio::test]
async fn a_log_without_room_refuses_and_keeps_what_it_has() -> anyhow::Result<()> {
    let server = NatsServer::start(Sync::Always).await?;
    let log = JetStreamLog::connect(&server.url(), single(&server)).await?;
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let mut config = context.get_stream("MUSTER_REPORT").await?.cached_info().config.clone();
    config.max_bytes = 8 * 1_024;
    context.update_stream(config).await?;
    let mut written = 0;
    let outcome = loop {
        match log.append(vec![rate::append()]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(outcome, AppendError::Full { .. }), "{outcome}");
    assert_eq!((log.head(Service::Report).await?, written > 0), (written, true));
    Ok(())
}

#[tokio::test]
async fn a_log_that_ends_before_what_a_reader_saw_is_damaged() -> anyhow::Result<()> {
    let server = NatsServer::start(Sync::Always).await?;
    let log = JetStreamLog::connect(&server.url(), single(&server)).await?;
    let outcome = log.subscribe(Service::Enroll, 7).await;
    assert!(matches!(outcome, Err(ReadError::Corrupt { position: 7, .. })));
    Ok(())
}

#[tokio::test]
async fn a_log_opened_again_is_the_same() -> anyhow::Result<()> {
    let mut server = NatsServer::start(Sync::Always).await?;
    let log = JetStreamLog::connect(&server.url(), single(&server)).await?;
    server.kill().await?;
    server.restart().await?;
    let again = JetStreamLog::connect(&server.url(), single(&server)).await?;
    assert_eq!(log.incarnation(Service::Policy), again.incarnation(Service::Policy));
    assert_ne!(log.incarnation(Service::Policy), log.incarnation(Service::Report));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_a_server_is_killed() -> anyhow::Result<()> {
    let mut server = NatsServer::start(Sync::Always).await?;
    let log: SharedLog = Arc::new(JetStreamLog::connect(&server.url(), single(&server)).await?);
    let disturbed = conformance::under_disturbance(&log, async {
        for _ in 0..3 {
            growth(&log).await;
            server.kill().await.expect("it runs");
            server.restart().await.expect("it starts again");
        }
        growth(&log).await;
    })
    .await;
    told("one server, killed 3 times", disturbed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_leader_is_killed() -> anyhow::Result<()> {
    let mut cluster = NatsCluster::start(Sync::Always).await?;
    let log: SharedLog = Arc::new(replicated(&cluster).await?);
    let disturbed = conformance::under_disturbance(&log, async {
        for _ in 0..2 {
            growth(&log).await;
            let leader = cluster.leader_of("MUSTER_IDENTITY").await.expect("somebody leads");
            cluster.node(leader).kill().await.expect("it runs");
            growth(&log).await;
            cluster.node(leader).restart().await.expect("it starts again");
        }
        growth(&log).await;
    })
    .await;
    told("three servers, the leader killed twice", disturbed);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it by hand")]
fn told(what: &str, disturbed: Disturbed) {
    println!("{what}: {disturbed:?}");
    assert!(disturbed.acknowledged > 0);
}
