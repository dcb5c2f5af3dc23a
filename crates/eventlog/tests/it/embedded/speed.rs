//! Quick figures, by hand: `cargo test --release -p muster-eventlog --test it speed -- --ignored --nocapture`.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_eventlog::Delivery;
use muster_eventlog::EventLog as _;
use muster_eventlog::chain::ChainVerifier;
use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_types::{Aggregate, Service};

use super::{append, stream};

const IN_FLIGHT: u64 = 256;
const PAYLOAD_BYTES: usize = 180;

fn bare(dir: &std::path::Path, time: Duration) -> f64 {
    let mut file = File::create(dir.join("bare")).expect("a file");
    let record = vec![7; PAYLOAD_BYTES + 200];
    let begin = Instant::now();
    let mut count = 0.0;
    while begin.elapsed() < time {
        file.write_all(&record).expect("a write");
        file.sync_data().expect("a sync");
        count += 1.0;
    }
    count / begin.elapsed().as_secs_f64()
}

async fn grouped(log: &Arc<EmbeddedLog>, round: u64, time: Duration, in_flight: u64) -> f64 {
    let begin = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..in_flight {
        let log = log.clone();
        writers.spawn(async move {
            let stream = stream(Aggregate::Group, 1_000 * (round + 1) + writer);
            let mut version = 0;
            while begin.elapsed() < time {
                log.append(vec![append(stream, version, 1, PAYLOAD_BYTES)]).await.expect("an append");
                version += 1;
            }
            version
        });
    }
    let count: u64 = writers.join_all().await.into_iter().sum();
    count as f64 / begin.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn durable_appends() {
    let temp = tempfile::Builder::new().tempdir_in(".").expect("a directory on the disk");
    let log = Arc::new(EmbeddedLog::open(&temp.path().join("log"), Options::default()).expect("a log"));
    for round in 0..3 {
        let bare = bare(temp.path(), Duration::from_secs(2));
        let one = grouped(&log, 10 * round, Duration::from_secs(1), 1).await;
        let many = grouped(&log, 10 * round + 1, Duration::from_secs(3), IN_FLIGHT).await;
        println!(
            "write+fdatasync {bare:.0}/s, one in flight {one:.0}/s, {IN_FLIGHT} in flight {many:.0}/s: {:.1} x",
            many / bare
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn replaying() {
    let temp = tempfile::Builder::new().tempdir_in(".").expect("a directory on the disk");
    let dir = temp.path().join("log");
    let log = Arc::new(EmbeddedLog::open(&dir, Options::default()).expect("a log"));
    let begin = Instant::now();
    for version in 0..10 {
        let hundreds = (0..1_000_u64).map(|hundred| {
            let streams = (100 * hundred..100 * hundred + 100).map(|i| stream(Aggregate::Group, i));
            log.append(streams.map(|stream| append(stream, version, 1, PAYLOAD_BYTES)).collect())
        });
        for answer in futures::future::join_all(hundreds).await {
            answer.expect("an append");
        }
    }
    println!("1,000,000 events in appends of 100: {:?}", begin.elapsed());
    let before = Instant::now();
    drop(log);
    println!("closed in {:?}", before.elapsed());
    let before = Instant::now();
    let log = EmbeddedLog::open(&dir, Options::default()).expect("a log");
    println!("opened in {:?}", before.elapsed());
    for verify in [false, true, false, true] {
        let begin = Instant::now();
        let mut subscription = log.subscribe(Service::Identity, 0).await.expect("a subscription");
        let mut verifier = ChainVerifier::new(Service::Identity, true);
        let mut count = 0;
        while let Some(Delivery::Events(events)) = subscription.next().await.expect("readable") {
            count += events.len();
            if verify {
                events.iter().try_for_each(|event| verifier.check(event)).expect("whole");
            }
        }
        println!(
            "{count} events, verify {verify}: {:?}, {:.0}/s",
            begin.elapsed(),
            count as f64 / begin.elapsed().as_secs_f64()
        );
    }
    let mut subscription = log.subscribe(Service::Identity, 1_000_000).await.expect("a subscription");
    assert!(matches!(subscription.next().await, Ok(Some(Delivery::CaughtUp(_)))));
    let mut delays = Vec::new();
    for version in 0..200 {
        let acknowledged =
            log.append(vec![append(stream(Aggregate::Group, 5_000_000), version, 1, PAYLOAD_BYTES)]);
        let acknowledged = async {
            acknowledged.await.expect("an append");
            Instant::now()
        };
        let delivered = async {
            while !matches!(subscription.next().await, Ok(Some(Delivery::Events(_)))) {}
            Instant::now()
        };
        let (acknowledged, delivered) = futures::join!(acknowledged, delivered);
        delays.push(delivered.saturating_duration_since(acknowledged));
    }
    delays.sort();
    println!("delivered after the acknowledgement: p50 {:?}, p99 {:?}", delays[100], delays[198]);
}
