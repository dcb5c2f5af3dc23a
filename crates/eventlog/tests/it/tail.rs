//! The log as gRPC callers see it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Envelope;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::tail::{FILTERS_MAX, TAILS_MAX, TailService};
use muster_proto::log::v1::log_service_server::LogService as _;
use muster_proto::log::v1::{GetHeadRequest, TailRequest};
use muster_types::Service;
use tonic::{Extensions, Request};

use crate::toy::{Moods, MoodyLog, add, stream};

type Allowed = fn(&Extensions) -> Result<(), Fault>;

fn served(log: &SharedLog) -> TailService<Allowed> {
    TailService::new(log.clone(), [Service::Enroll, Service::Identity], |_| Ok(()))
}

async fn log_of(payloads: &[(Service, u16, u8)]) -> SharedLog {
    let log: SharedLog = Arc::new(MemoryLog::default());
    for (service, n, payload) in payloads {
        add(&*log, *service, *n, *payload).await;
    }
    log
}

fn enroll() -> TailRequest {
    TailRequest { service: "enroll".to_owned(), ..TailRequest::default() }
}

/// What a tail without `follow` brings: last byte of each event's payload.
async fn payloads(log: &SharedLog, request: TailRequest) -> Vec<u8> {
    let tail = served(log).tail(Request::new(request)).await.expect("accepted").into_inner();
    tail.map(|item| {
        let envelope = item.expect("sound").envelope.expect("set");
        Envelope::try_from(envelope).expect("well-formed").payload[0]
    })
    .collect()
    .await
}

async fn refused(log: &SharedLog, request: TailRequest) -> Fault {
    let status = served(log).tail(Request::new(request)).await.err().expect("refused");
    Fault::from_status(&status)
}

const E: Service = Service::Enroll;

#[tokio::test]
async fn a_tail_ends_at_the_head_and_begins_where_it_was_told() {
    let log = log_of(&[(E, 1, 10), (E, 2, 20), (Service::Identity, 1, 99), (E, 1, 30)]).await;
    for (from_position, expected) in
        [(0, &[10, 20, 30][..]), (1, &[10, 20, 30]), (3, &[30]), (4, &[]), (u64::MAX, &[])]
    {
        assert_eq!(payloads(&log, TailRequest { from_position, ..enroll() }).await, expected);
    }
    assert_eq!(payloads(&log_of(&[]).await, enroll()).await, [0_u8; 0]);
}

#[tokio::test]
async fn filters_narrow_a_tail() {
    let log = log_of(&[(E, 1, 10), (E, 2, 20), (E, 1, 30)]).await;
    let id = stream(E, 1).id.as_bytes().to_vec();
    assert_eq!(payloads(&log, TailRequest { aggregate_id: id, ..enroll() }).await, [10, 30]);
    let kinds = |kinds: &[&str]| TailRequest {
        aggregates: kinds.iter().map(ToString::to_string).collect(),
        ..enroll()
    };
    assert_eq!(payloads(&log, kinds(&["enrollment"])).await, [10, 20, 30]);
    assert_eq!(payloads(&log, kinds(&["onboarding_token"])).await, [0_u8; 0]);
    let types = |name: &str| TailRequest { types: vec![name.to_owned()], ..enroll() };
    assert_eq!(payloads(&log, types("muster.toy.v1.Happened")).await, [10, 20, 30]);
    assert_eq!(payloads(&log, types("Happened")).await, [0_u8; 0]);
}

#[tokio::test]
async fn a_following_tail_brings_what_comes() {
    let log = log_of(&[(E, 1, 10)]).await;
    let request = TailRequest { follow: true, ..enroll() };
    let mut tail = served(&log).tail(Request::new(request)).await.expect("accepted").into_inner();
    for payload in [10, 20, 30] {
        if payload > 10 {
            add(&*log, E, 1, payload).await;
        }
        let next = tokio::time::timeout(Duration::from_secs(10), tail.next()).await.expect("in time");
        let envelope = next.expect("open").expect("sound").envelope.expect("set");
        assert_eq!(envelope.payload[..], [payload]);
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_with_the_field() {
    let log = log_of(&[(E, 1, 10)]).await;
    let kinds = |name: &str| TailRequest { aggregates: vec![name.to_owned()], ..enroll() };
    let cases = [
        ("service", TailRequest { service: "planet".to_owned(), ..enroll() }),
        ("service", TailRequest { service: String::new(), ..enroll() }),
        ("service", TailRequest { service: "policy".to_owned(), ..enroll() }),
        ("aggregates[0]", kinds("planet")),
        ("aggregates[0]", kinds("group")),
        ("aggregate_id", TailRequest { aggregate_id: vec![1; 15], ..enroll() }),
        ("types", TailRequest { types: vec!["a".to_owned(); FILTERS_MAX + 1], ..enroll() }),
        ("types", TailRequest { types: vec!["a".repeat(300)], ..enroll() }),
    ];
    for (field, request) in cases {
        let fault = refused(&log, request).await;
        assert_eq!(fault.code, ErrorCode::ArgumentInvalid);
        assert_eq!(fault.fields[0].field, field);
    }
}

#[tokio::test]
async fn the_head_is_told() {
    let log = log_of(&[(E, 1, 10), (E, 1, 20)]).await;
    for (service, expected) in [("enroll", 2), ("identity", 0)] {
        let request = GetHeadRequest { service: service.to_owned() };
        let reply = served(&log).get_head(Request::new(request)).await.expect("accepted");
        assert_eq!(reply.into_inner().position, expected);
    }
}

#[tokio::test]
async fn who_is_not_allowed_reads_nothing() {
    let log = log_of(&[(E, 1, 10)]).await;
    let service = TailService::new(log, Service::ALL, |extensions: &Extensions| {
        extensions.get::<u8>().map(|_| ()).ok_or_else(|| Fault::new(ErrorCode::AdminTokenInvalid, "no token"))
    });
    let status = service.tail(Request::new(enroll())).await.err().expect("refused");
    assert_eq!(Fault::from_status(&status).code, ErrorCode::AdminTokenInvalid);
    let head = GetHeadRequest { service: "enroll".to_owned() };
    let status = service.get_head(Request::new(head)).await.expect_err("refused");
    assert_eq!(Fault::from_status(&status).code, ErrorCode::AdminTokenInvalid);
    let mut request = Request::new(enroll());
    request.extensions_mut().insert(1_u8);
    assert!(service.tail(request).await.is_ok());
}

#[tokio::test]
async fn damage_and_interruptions_end_a_tail_with_their_code() {
    for (moods, code) in [
        (Moods { corrupt_from: Some(2), sizes: vec![1], ..Moods::default() }, ErrorCode::LogCorrupt),
        (Moods { breaks_after: Some(1), sizes: vec![1], ..Moods::default() }, ErrorCode::LogUnavailable),
    ] {
        let log: SharedLog = MoodyLog::new(moods);
        for payload in [10, 20, 30] {
            add(&*log, E, 1, payload).await;
        }
        let tail = served(&log).tail(Request::new(enroll())).await.expect("accepted").into_inner();
        let mut items: Vec<_> = tail.collect().await;
        let status = items.pop().expect("an end").expect_err("a failure");
        assert_eq!((Fault::from_status(&status).code, items.len()), (code, 1));
    }
}

#[tokio::test]
async fn tails_are_limited_and_given_back() {
    let log = log_of(&[]).await;
    let service = served(&log);
    let open = || service.tail(Request::new(TailRequest { follow: true, ..enroll() }));
    let mut tails = Vec::new();
    for _ in 0..TAILS_MAX {
        tails.push(open().await.expect("accepted"));
    }
    let status = open().await.err().expect("one too many");
    assert_eq!(Fault::from_status(&status).code, ErrorCode::Overloaded);
    tails.pop();
    assert!(open().await.is_ok());
}
