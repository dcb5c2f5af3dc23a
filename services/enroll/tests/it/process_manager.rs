//! What a crash left in the middle is completed.

use std::sync::Arc;
use std::time::Duration;

use muster_enroll::commands::{Commands, IssueToken, OnboardDevice, token_id};
use muster_enroll::domain::facts::DeviceFacts;
use muster_enroll::domain::onboarding_token::Terms;
use muster_eventlog::{Actor, Append, Context, Delivery, EventType, NewEvent};
use muster_proto::identity::v1::TrustEstablished;
use muster_types::{
    Aggregate, Clock as _, EventId, RequestId, Service, StreamId, SystemClock, TenantId, Version,
};
use prost::Message as _;
use uuid::Uuid;

use crate::server::{TestDevice, TestServer};

const TENANT: TenantId = TenantId::DEFAULT;

#[tokio::test]
async fn trust_that_the_call_did_not_live_to_note_completes_the_enrollment() {
    let server = TestServer::start().await;
    // A process that dies after the onboarding: it never asks identity, nor notes the answer.
    let dead = Commands::new(server.log.clone(), Arc::new(SystemClock));
    let request = RequestId::from_uuid(Uuid::from_u128(1));
    let issue = IssueToken {
        tenant: TENANT,
        request,
        secret_hash: [1; 32],
        ttl: Duration::from_secs(60),
        terms: Terms { uses_max: 1, ..Terms::default() },
        validate_only: false,
    };
    dead.issue_token(&issue, Actor::admin("ada")).await.expect("a token");
    let facts = DeviceFacts::try_from(TestDevice::new(1).facts).expect("facts");
    let wish = OnboardDevice {
        tenant: TENANT,
        device: None,
        token: token_id(TENANT, request),
        secret_hash: [1; 32],
        key_digest: [2; 32],
        facts,
        troubles: vec![],
    };
    let device = dead.onboard(&wish).await.expect("let in").device;

    let trust = TrustEstablished {
        kind: 1,
        spiffe_id: "spiffe://muster.local/x".into(),
        key_digest: vec![2; 32],
        ..Default::default()
    };
    let append = Append {
        stream: StreamId::new(TENANT, Aggregate::Registration, device.uuid()),
        expected: Version::NONE,
        events: vec![NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(3)),
            kind: EventType::new("muster.identity.v1.TrustEstablished"),
            payload: trust.encode_to_vec().into(),
        }],
        context: Context {
            actor: Actor::service(Service::Enroll),
            time: SystemClock.now(),
            correlation_id: Uuid::from_u128(4),
            causation_id: None,
            traceparent: None,
        },
    };
    server.log.append(vec![append]).await.expect("acknowledged");

    let mut subscription = server.log.subscribe(Service::Enroll, 3).await.expect("a log");
    let completed = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match subscription.next().await.expect("a log") {
                Some(Delivery::Events(events)) => break events,
                Some(Delivery::CaughtUp(_)) => {}
                None => panic!("the log was closed"),
            }
        }
    });
    let completed = completed.await.expect("completed in time");
    assert_eq!(completed[0].kind.short(), "EnrollmentSucceeded");
    assert_eq!(completed[0].context.actor, Actor::service(Service::Enroll));
}
