//! Rate of appends against bare publishing with the same headers and window. A measurement: run it alone, in release.

use std::time::Instant;

use async_nats::jetstream;
use bytes::Bytes;
use futures::StreamExt as _;
use muster_eventlog::jetstream::{JetStreamLog, Options, SyncCheck};
use muster_eventlog::{Actor, Append, Context, EventLog as _, EventType, NewEvent};
use muster_testkit::nats::{NatsServer, Sync};
use muster_types::{Aggregate, EventId, StreamId, TenantId, Timestamp, Version};
use uuid::Uuid;

const WINDOW: usize = 256;
const EVENTS: usize = 20_000;
const ROUNDS: usize = 5;
const PAYLOAD: Bytes = Bytes::from_static(&[7; 200]);

pub(super) fn append() -> Append {
    Append {
        stream: StreamId::new(TenantId::DEFAULT, Aggregate::DeviceStatus, Uuid::new_v4()),
        expected: Version::NONE,
        events: vec![NewEvent {
            id: EventId::from_uuid(Uuid::new_v4()),
            kind: EventType::new("muster.report.v1.StatusReported"),
            payload: PAYLOAD,
        }],
        context: Context {
            actor: Actor::admin("ada"),
            time: Timestamp::from_micros(1_700_000_000_123_456),
            correlation_id: Uuid::new_v4(),
            causation_id: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        },
    }
}

async fn appended(log: &JetStreamLog) -> f64 {
    let appends: Vec<_> = (0..EVENTS).map(|_| append()).collect();
    let start = Instant::now();
    futures::stream::iter(appends)
        .for_each_concurrent(WINDOW, |append| async move {
            log.append(vec![append]).await.expect("nothing stands against it");
        })
        .await;
    EVENTS as f64 / start.elapsed().as_secs_f64()
}

/// The same by async-nats alone: the headers an event has, built for each message.
async fn published(context: &jetstream::Context) -> f64 {
    let ids: Vec<_> = (0..EVENTS).map(|_| Uuid::new_v4()).collect();
    let start = Instant::now();
    futures::stream::iter(ids)
        .for_each_concurrent(WINDOW, |id| async move {
            let mut headers = async_nats::HeaderMap::new();
            for (name, value) in [
                ("ce-specversion", "1.0"),
                ("ce-datacontenttype", "application/protobuf"),
                ("ce-type", "muster.report.v1.StatusReported"),
                ("ce-source", "/muster/report"),
                ("ce-subject", "device_status/0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f"),
                ("ce-time", "2023-11-14T22:13:20.123456Z"),
                ("ce-sequence", "1"),
                ("ce-correlationid", "0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f"),
                ("ce-actor", "admin:ada"),
                ("ce-prevhash", "0000000000000000000000000000000000000000000000000000000000000000"),
                ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                ("Nats-Expected-Last-Subject-Sequence", "0"),
            ] {
                headers.insert(name, value);
            }
            let text = id.to_string();
            headers.insert("ce-id", text.as_str());
            headers.insert("Nats-Msg-Id", text.as_str());
            let subject = format!("bare.v1.report.default.00.device_status.{}", id.simple());
            let ack = context.publish_with_headers(subject, headers, PAYLOAD).await.expect("it is sent");
            ack.await.expect("it is acknowledged");
        })
        .await;
    EVENTS as f64 / start.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn appending_is_nearly_as_fast_as_bare_publishing() -> anyhow::Result<()> {
    let server = NatsServer::start(Sync::Lazy).await?;
    let options = Options { sync: SyncCheck::Trust, ..Options::default() };
    let log = JetStreamLog::connect(&server.url(), options).await?;
    let context = jetstream::new(async_nats::connect(server.url()).await?);
    let bare = jetstream::stream::Config {
        name: "BARE".to_owned(),
        subjects: vec!["bare.>".to_owned()],
        discard: jetstream::stream::DiscardPolicy::New,
        allow_direct: true,
        allow_atomic_publish: true,
        ..Default::default()
    };
    context.create_stream(bare).await?;
    appended(&log).await;
    published(&context).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(appended(&log).await);
        theirs.push(published(&context).await);
    }
    println!("ours {ours:.0?}\nbare {theirs:.0?}");
    let (ours, theirs) = (median(ours), median(theirs));
    println!("appends/s {ours:.0}, bare publishes/s {theirs:.0}, ratio {:.2}", ours / theirs);
    Ok(())
}
