//! Appends to JetStream with the expected version, 256 in flight, against bare publishing by async-nats of the same
//! payloads with the same headers, in the same window, to the same server. The server does not sync here: the cost of
//! the product's own work would drown in the disk's.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::{self, stream};
use futures::stream::{self as futures_stream, StreamExt as _};
use muster_eventlog::EventLog as _;
use muster_eventlog::jetstream::{JetStreamLog, Options, SyncCheck};
use muster_testkit::nats::{NatsServer, Sync};
use muster_types::Version;
use uuid::Uuid;

use crate::events;
use crate::measure::{Row, rate};

const IN_FLIGHT: usize = 256;
const APPENDS: usize = 40_000;

/// Measures both in turn.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let server = NatsServer::start(Sync::Lazy).await?;
    let options = Options { sync: SyncCheck::Trust, ..Options::default() };
    let log = Arc::new(JetStreamLog::connect(&server.url(), options).await?);
    let bare = Bare::connect(&server.url()).await?;
    let mut pairs = Vec::new();
    for round in 0..rounds {
        let bare = bare.publishes_per_second(round).await?;
        pairs.push((appends_per_second(&log, round).await?, bare));
    }
    Ok(Row::of_rates("append, JetStream R1, 256 in flight", &pairs, 0.8))
}

async fn appends_per_second(log: &Arc<JetStreamLog>, round: usize) -> anyhow::Result<f64> {
    let numbers = round * APPENDS..(round + 1) * APPENDS;
    let appends: Vec<_> = numbers.map(|n| events::append(events::stream(n), Version::NONE, n)).collect();
    let start = Instant::now();
    let mut acknowledged =
        futures_stream::iter(appends).map(|append| log.append(vec![append])).buffer_unordered(IN_FLIGHT);
    while let Some(outcome) = acknowledged.next().await {
        outcome?;
    }
    Ok(rate(APPENDS, start.elapsed()))
}

struct Bare {
    context: jetstream::Context,
}

impl Bare {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = async_nats::connect(url).await?;
        let mut context = jetstream::new(client);
        context.set_timeout(Duration::from_secs(10));
        let config = stream::Config {
            name: "BARE".to_owned(),
            subjects: vec!["bare.>".to_owned()],
            discard: stream::DiscardPolicy::New,
            allow_direct: true,
            ..stream::Config::default()
        };
        context.create_stream(config).await?;
        Ok(Self { context })
    }

    async fn publishes_per_second(&self, round: usize) -> anyhow::Result<f64> {
        let numbers = round * APPENDS..(round + 1) * APPENDS;
        let messages: Vec<_> = numbers
            .map(|n| {
                let subject = events::stream(n).subject().replacen("muster.v1", "bare.v1", 1);
                (subject, headers(n), bytes::Bytes::from(events::payload(n)))
            })
            .collect();
        let start = Instant::now();
        let mut acknowledged = futures_stream::iter(messages)
            .map(|(subject, headers, payload)| async move {
                self.context.publish_with_headers(subject, headers, payload).await?.into_future().await
            })
            .buffer_unordered(IN_FLIGHT);
        while let Some(outcome) = acknowledged.next().await {
            outcome?;
        }
        Ok(rate(APPENDS, start.elapsed()))
    }
}

/// The headers of an event of the product, with other values.
fn headers(n: usize) -> HeaderMap {
    let id = Uuid::new_v4().to_string();
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, id.as_str());
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
    for (name, value) in [
        ("ce-id", id.as_str()),
        ("ce-specversion", "1.0"),
        ("ce-datacontenttype", "application/protobuf"),
        ("ce-type", "muster.report.v1.StatusReported"),
        ("ce-source", "/muster/report"),
        ("ce-time", "2026-05-28T20:26:40.000000Z"),
        ("ce-sequence", "1"),
        ("ce-correlationid", "00000000-0000-0000-0000-000000000000"),
        ("ce-prevhash", "0000000000000000000000000000000000000000000000000000000000000000"),
    ] {
        headers.insert(name, value);
    }
    let stream = events::stream(n).id;
    headers.insert("ce-subject", format!("device_status/{stream}").as_str());
    headers.insert("ce-actor", format!("device:{stream}").as_str());
    headers
}
