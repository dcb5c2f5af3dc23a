//! Devices go, here or in identity, and come back.

use std::sync::Arc;

use muster_enroll::commands::device_id;
use muster_enroll::domain::enrollment::Outcome;
use muster_enroll::process_manager::identity;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::{Actor, Append, Context, EventType, NewEvent};
use muster_proto::enroll::v1::EnrollmentStatus;
use muster_proto::identity::v1::{RegistrationRemoved, RemovalReason};
use muster_types::{Aggregate, DeviceId, EventId, RequestId, Service, StreamId, Version};
use prost::Message as _;

use crate::desk::{Desk, TENANT, asked, enroll, now, token, uses, wish};

async fn desk() -> Desk {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let desk = Desk::on(&log);
    let stopping = desk.tasks.stopping().clone();
    let follow = identity::run(desk.commands.clone(), log, desk.kv.clone(), stopping);
    desk.tasks.spawn("identity's facts", follow);
    desk
}

/// Identity removes a registration.
async fn removed(desk: &Desk, device: DeviceId, reason: RemovalReason, into: Option<DeviceId>) {
    let into_device_id = into.map(|into| into.as_bytes().to_vec()).unwrap_or_default();
    let removed = RegistrationRemoved { reason: reason.into(), into_device_id };
    let request = RequestId::generate();
    let append = Append {
        stream: StreamId::new(TENANT, Aggregate::Registration, device.uuid()),
        expected: Version::NONE,
        events: vec![NewEvent {
            id: EventId::of_request(request, 0),
            kind: EventType::new("muster.identity.v1.RegistrationRemoved"),
            payload: removed.encode_to_vec().into(),
        }],
        context: Context {
            actor: Actor::service(Service::Identity),
            time: now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: None,
        },
    };
    desk.log.append(vec![append]).await.expect("acknowledged");
}

#[tokio::test]
async fn a_device_that_identity_deletes_is_deleted_here_and_stays_so() {
    let desk = desk().await;
    let token = token(&desk.commands, 1, uses(9)).await;
    let device = enroll(&desk.commands, token, 1).await.expect("let in").device;
    removed(&desk, device, RemovalReason::Deleted, None).await;
    desk.until(device, EnrollmentStatus::Deleted).await;
    let again = desk.commands.delete(&asked(), (TENANT, device)).await.expect("deleted already");
    assert_eq!(again.position, None);
    assert!(desk.commands.onboard(&wish(token, 1)).await.is_err());

    desk.commands.allow_reenrollment(&asked(), (TENANT, device)).await.expect("allowed");
    let back = enroll(&desk.commands, token, 1).await.expect("let in again");
    assert_eq!((back.device, back.outcome), (device, Outcome::Pending));
    desk.until(device, EnrollmentStatus::Succeeded).await;
    let used = desk.events(0).await.into_iter().filter(|kind| kind == "OnboardingTokenUsed").count();
    assert_eq!(used, 1, "the same key uses a token once");
}

#[tokio::test]
async fn the_hardware_of_a_merged_device_comes_in_as_the_one_that_lives_on() {
    let desk = desk().await;
    let token = token(&desk.commands, 1, uses(9)).await;
    let old = enroll(&desk.commands, token, 1).await.expect("let in").device;
    let lives_on = enroll(&desk.commands, token, 2).await.expect("let in").device;
    removed(&desk, old, RemovalReason::Merged, Some(lives_on)).await;
    desk.until(old, EnrollmentStatus::Deleted).await;
    assert_eq!(old, device_id(TENANT, &wish(token, 1).facts.hardware_digest));
    assert_eq!(enroll(&desk.commands, token, 1).await.expect("let in").device, lives_on);
}
