//! The log as gRPC callers see it.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::tail::{FILTERS_MAX, TAILS_MAX, TailService};
use muster_eventlog::{Delivery, Envelope, Subscription};
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::GroupMembershipChanged;
use muster_proto::log::v1::log_service_server::LogService as _;
use muster_proto::log::v1::{GetHeadRequest, TailRequest};
use muster_types::{Aggregate, Service, StreamId, TenantId, Version};
use prost::Message as _;
use tonic::{Extensions, Request};
use uuid::Uuid;

use crate::toy::{Moods, MoodyLog, add, add_of, append_events, stream};

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
    let tenants = |tenant: &str| TailRequest { tenant: tenant.to_owned(), ..enroll() };
    assert_eq!(payloads(&log, tenants("default")).await, [10, 20, 30]);
    assert_eq!(payloads(&log, tenants("acme")).await, [0_u8; 0]);
}

#[tokio::test]
async fn types_are_wanted_by_either_name() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    add_of(&*log, stream(E, 1), "muster.enroll.v1.DeviceDeleted", vec![10]).await;
    add_of(&*log, stream(E, 2), "muster.enroll.v1.DeviceTagged", vec![20]).await;
    let types = |name: &str| TailRequest { types: vec![name.to_owned()], ..enroll() };
    assert_eq!(payloads(&log, types("muster.enroll.v1.DeviceTagged")).await, [20]);
    assert_eq!(payloads(&log, types("DeviceDeleted")).await, [10]);
    assert_eq!(payloads(&log, types("DeviceMerged")).await, [0_u8; 0]);
}

#[tokio::test]
async fn a_device_is_found_in_its_streams_by_its_id_and_in_bitmaps() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let device = stream(E, 1).id;
    let token = StreamId::new(TenantId::DEFAULT, Aggregate::OnboardingToken, Uuid::from_u128(9));
    let used = pb::OnboardingTokenUsed { device_id: device.as_bytes().to_vec() }.encode_to_vec();
    add_of(&*log, token, "muster.enroll.v1.OnboardingTokenUsed", used).await;
    let other = pb::OnboardingTokenUsed { device_id: vec![3; 16] }.encode_to_vec();
    add_of(
        &*log,
        StreamId { id: Uuid::from_u128(8), ..token },
        "muster.enroll.v1.OnboardingTokenUsed",
        other,
    )
    .await;
    add_of(&*log, stream(E, 1), "muster.enroll.v9.Unheard", vec![255]).await;
    add_of(&*log, stream(E, 2), "muster.enroll.v1.DeviceDeleted", vec![]).await;
    let group = StreamId::new(TenantId::DEFAULT, Aggregate::Group, Uuid::from_u128(7));
    for (n, ordinals) in [vec![4, 70_000], vec![5]].into_iter().enumerate() {
        let mut added = Vec::new();
        roaring::RoaringBitmap::from_iter(ordinals)
            .serialize_into(&mut added)
            .expect("a vector takes everything");
        let payload = GroupMembershipChanged { added, removed: vec![] }.encode_to_vec();
        let group = StreamId { id: Uuid::from_u128(70 + n as u128), ..group };
        add_of(&*log, group, "muster.identity.v1.GroupMembershipChanged", payload).await;
    }
    let positions = async |service: Service, device_ordinal: Option<u32>| -> Vec<u64> {
        let device_id = device.as_bytes().to_vec();
        let request = TailRequest { service: service.to_string(), device_id, device_ordinal, ..enroll() };
        let tail = served(&log).tail(Request::new(request)).await.expect("accepted").into_inner();
        tail.map(|item| item.expect("sound").envelope.expect("set").position).collect().await
    };
    assert_eq!(positions(E, None).await, [1, 3]);
    assert_eq!(positions(Service::Identity, Some(70_000)).await, [1]);
    assert_eq!(positions(Service::Identity, None).await, [0_u64; 0]);
}

#[tokio::test]
async fn a_position_the_log_has_not_reached_is_waited_for() {
    let log = log_of(&[(E, 1, 10)]).await;
    let beyond = TailRequest { from_position: 4, ..enroll() };
    assert_eq!(payloads(&log, beyond.clone()).await, [0_u8; 0]);
    let request = TailRequest { follow: true, ..beyond };
    let mut tail = served(&log).tail(Request::new(request)).await.expect("accepted").into_inner();
    for payload in [20, 30, 40] {
        add(&*log, E, 1, payload).await;
    }
    let next = tokio::time::timeout(Duration::from_secs(10), tail.next()).await.expect("in time");
    assert_eq!(next.expect("open").expect("sound").envelope.expect("set").payload[..], [40]);
}

/// Who never reads costs a bounded queue; appends and other readers go on as if it were not there.
#[tokio::test]
async fn a_reader_that_never_reads_holds_up_nobody() {
    const APPENDS: u64 = 100;
    const EVENTS: u64 = 1_000;
    let dir = tempfile::tempdir().expect("a folder");
    let log: SharedLog = Arc::new(EmbeddedLog::open(dir.path(), Options::default()).expect("opens"));
    let follow = || TailRequest { follow: true, ..enroll() };
    let service = served(&log);
    let stalled = service.tail(Request::new(follow())).await.expect("accepted").into_inner();
    let reading = service.tail(Request::new(follow())).await.expect("accepted").into_inner();
    let appending = async {
        for n in 0..APPENDS {
            append_events(&*log, stream(E, 1), Version(n * EVENTS), EVENTS, &[7; 200]).await;
        }
    };
    let reading = async {
        let mut last = 0;
        let mut reading = reading.take(usize::try_from(APPENDS * EVENTS).expect("fits"));
        while let Some(item) = reading.next().await {
            let position = item.expect("sound").envelope.expect("set").position;
            assert_eq!(position, last + 1);
            last = position;
        }
        last
    };
    let both = async { tokio::join!(appending, reading) };
    let ((), last) = tokio::time::timeout(Duration::from_secs(120), both).await.expect("in time");
    assert_eq!(last, APPENDS * EVENTS);
    // What waited in memory for the one that stalled is all it gets without a further read of the log.
    drop(stalled);
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_is_bounded_in_bytes() {
    let (feed, mut subscription) = Subscription::channel();
    let event = {
        let log = log_of(&[(E, 1, 10)]).await;
        let event = log.read(stream(E, 1), Version::NONE).await.expect("readable").remove(0);
        Envelope { payload: vec![0; 512 * 1024].into(), ..event }
    };
    let mut sent = 0;
    let send = || feed.send(Ok(Delivery::Events(vec![event.clone(); 2])));
    while send().now_or_never().is_some() {
        sent += 1;
        assert!(sent <= 4, "{sent} MiB wait for a reader that does not read");
    }
    assert_eq!(sent, 1, "one of 1 MiB and a little, and no second within 2 MiB");
    assert!(subscription.next().await.is_ok());
    assert!(send().await.is_ok(), "there is room again");
    // A delivery larger than all the room still gets through, alone.
    let large = feed.send(Ok(Delivery::Events(vec![event.clone(); 8])));
    let read = async { (subscription.next().await.is_ok(), subscription.next().await.is_ok()) };
    let (large, read) = tokio::join!(large, read);
    assert_eq!((large, read), (Ok(()), (true, true)));
    drop(subscription);
    assert!(send().await.is_err());
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
    let types = |name: &str| TailRequest { types: vec![name.to_owned()], ..enroll() };
    for service in ["planet", "", "policy"] {
        let fault = refused(&log, TailRequest { service: service.to_owned(), ..enroll() }).await;
        assert_eq!((fault.code, fault.fields[0].field.as_str()), (ErrorCode::ArgumentInvalid, "service"));
    }
    let cases = [
        ("aggregates[0]", "has onboarding_token, enrollment, tenant_settings", kinds("planet")),
        ("aggregates[0]", "in the log of identity", kinds("group")),
        ("aggregate_id", "16 bytes", TailRequest { aggregate_id: vec![1; 15], ..enroll() }),
        (
            "types",
            "the limit is 64",
            TailRequest { types: vec!["a".to_owned(); FILTERS_MAX + 1], ..enroll() },
        ),
        ("types[0]", "longer than 256 bytes", types(&"a".repeat(300))),
        ("types[0]", "did you mean DeviceTagged?", types("DeviceTaged")),
        ("types[0]", "did you mean PolicyAssigned?", types("PolicyAsigned")),
        ("types[0]", "in the log of policy, not of enroll", types("PolicyAssigned")),
        ("types[0]", "has OnboardingTokenIssued", types("Weather")),
        ("tenant", "expected 1 to 32", TailRequest { tenant: "Not A Slug".to_owned(), ..enroll() }),
        ("device_id", "16 bytes", TailRequest { device_id: vec![1; 4], ..enroll() }),
        ("device_ordinal", "needs device_id", TailRequest { device_ordinal: Some(1), ..enroll() }),
    ];
    for (field, says, request) in cases {
        let fault = refused(&log, request).await;
        assert_eq!((fault.code, fault.fields[0].field.as_str()), (ErrorCode::FilterInvalid, field));
        assert!(fault.message.contains(says), "{}", fault.message);
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
