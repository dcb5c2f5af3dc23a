//! What a check-in directs a device to do besides its policy.

use std::time::Duration;

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_policy::attendance;
use muster_policy::wire::kind;
use muster_proto::convert::{moment, timestamp};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::check_in_response::Outcome;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyService as _;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_runtime::caller::Certificate;
use muster_types::{Aggregate, Clock as _, StreamId, setting};
use prost::Message as _;
use roaring::RoaringBitmap;

use crate::device::SOON;
use crate::house::{
    House, TENANT, admin, create, device, from_device, level, payloads, position, setting as one,
};

/// No need.
const NOTHING: [i32; 0] = [];
const NOT_MODIFIED: Option<Outcome> = Some(Outcome::NotModified(pb::NotModified {}));

fn authority(to: enroll::ManagedBy, code: &str) -> enroll::ManagementAuthorityChanged {
    enroll::ManagementAuthorityChanged { to: to.into(), code: code.into(), ..Default::default() }
}

fn directed(answer: &pb::CheckInResponse) -> (pb::Directive, &str) {
    (answer.directive(), answer.directive_code.as_str())
}

/// A check-in of a boot, with a sequence number.
fn from_boot(boot: u8, sequence: u64) -> pb::CheckInRequest {
    pb::CheckInRequest {
        sequence,
        boot_id: vec![boot; 16],
        session_id: vec![boot; 16],
        applied_etag: setting::etag([]).to_vec(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_device_stands_down_when_another_takes_over_and_resumes_with_a_hint() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let document = house.opened(house.answer(0, from_boot(1, 1)).await.outcome.unwrap());
    let watch = pb::WatchRequest { applied_etag: document.etag.clone() };
    let mut hints = house.grpc.watch(from_device(0, watch)).await.unwrap().into_inner();
    for (to, code, directive, settings) in [
        (enroll::ManagedBy::Mdm, "MANAGED_BY_MDM", pb::Directive::StandDown, 0),
        (enroll::ManagedBy::Muster, "ENROLLED", pb::Directive::Unspecified, 1),
    ] {
        house.enroll(0, kind::AUTHORITY_CHANGED, &authority(to, code)).await;
        tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().unwrap();
        let answer = house.answer(0, pb::CheckInRequest::default()).await;
        let shown = if directive == pb::Directive::StandDown { code } else { "" };
        assert_eq!(directed(&answer), (directive, shown));
        assert_eq!(house.opened(answer.outcome.unwrap()).settings.len(), settings);
    }
    let refused = enroll::EnrollmentRefused { reason: "OUT_OF_SCOPE".into(), ..Default::default() };
    house.enroll(0, kind::ENROLLMENT_REFUSED, &refused).await;
    let answer = house.answer(0, from_boot(1, 2)).await;
    assert_eq!(directed(&answer), (pb::Directive::StandDown, "OUT_OF_SCOPE"));
    house.end().await;
}

#[tokio::test]
async fn a_device_in_quarantine_gets_no_policy_until_it_is_resolved() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    house.identity(0, kind::CLONE_SUSPECTED, &identity::CloneSuspected::default()).await;
    let answer = house.answer(0, from_boot(1, 1)).await;
    assert_eq!(directed(&answer), (pb::Directive::Quarantine, "QUARANTINED"));
    assert_eq!(answer.outcome, NOT_MODIFIED);
    house.identity(0, kind::CLONE_RESOLVED, &identity::CloneResolved::default()).await;
    let answer = house.answer(0, from_boot(1, 2)).await;
    assert_eq!(directed(&answer), (pb::Directive::Unspecified, ""));
    assert_eq!(house.opened(answer.outcome.unwrap()).settings, [level("real_time")]);
    house.end().await;
}

#[tokio::test]
async fn a_device_that_shall_leave_gets_a_signed_order_until_it_expires() {
    let house = House::with_devices().await;
    let reverted = house.create("Reverted", vec![level("real_time")]).await.name;
    let mut kept = create("Kept", vec![one("scan_archives", pb::setting_value::Kind::Boolean(true))]);
    kept.policy.as_mut().unwrap().on_unassign = pb::OnUnassign::Keep.into();
    let kept = house.grpc.create_policy(admin(kept)).await.unwrap();
    house.seen(&position(&kept)).await;
    assert_eq!(kept.get_ref().on_unassign(), pb::OnUnassign::Keep);
    house.assign(&reverted, 0).await;
    house.assign(&kept.into_inner().name, 0).await;
    let document = house.opened(house.answer(0, from_boot(1, 1)).await.outcome.unwrap());
    let watch = || pb::WatchRequest { applied_etag: document.etag.clone() };
    let mut hints = house.grpc.watch(from_device(0, watch())).await.unwrap().into_inner();

    let expire = house.clock.now().plus(Duration::from_secs(3_600));
    let asked = enroll::DeviceOffboardingRequested { expire_time: Some(timestamp(expire)) };
    house.enroll(0, kind::OFFBOARDING_REQUESTED, &asked).await;
    tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().unwrap();
    let mut late = house.grpc.watch(from_device(0, watch())).await.unwrap().into_inner();
    tokio::time::timeout(SOON, late.next()).await.unwrap().unwrap().unwrap();

    let answer = house.answer(0, from_boot(1, 2)).await;
    assert_eq!(directed(&answer), (pb::Directive::Decommission, "OFFBOARDING"));
    assert_eq!(answer.outcome, NOT_MODIFIED);
    let signed = answer.offboarding_order.unwrap();
    muster_envelope::Order::open(&signed, house.believed()).unwrap();
    let order = pb::OffboardingOrder::decode(&signed.payload[..]).unwrap();
    assert_eq!(order.device_id, device(0).as_bytes());
    assert_eq!(
        (order.tenant, order.kept_settings),
        (TENANT.to_string(), vec!["linux-antivirus/scan_archives".into()])
    );
    assert_eq!(order.expire_time.map(moment), Some(expire));

    house.clock.advance(Duration::from_secs(3_600));
    let answer = house.answer(0, from_boot(1, 3)).await;
    assert_eq!((directed(&answer), &answer.offboarding_order), ((pb::Directive::Unspecified, ""), &None));
    house.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_gone_is_refused_with_the_reason() {
    let house = House::with_devices().await;
    house.enroll(0, kind::DEVICE_DELETED, &enroll::DeviceDeleted {}).await;
    house.enroll(1, kind::DEVICE_OFFBOARDED, &enroll::DeviceOffboarded::default()).await;
    for (n, expected) in [(0, ErrorCode::DeviceDeleted), (1, ErrorCode::CertificateRevoked)] {
        let refused = house.grpc.check_in(from_device(n, from_boot(1, 1))).await.unwrap_err();
        assert_eq!(Fault::from_status(&refused).code, expected);
    }
    house.end().await;
}

#[tokio::test]
async fn facts_are_asked_for_when_they_are_not_those_that_are_known() {
    let house = House::with_devices().await;
    let with = |facts_digest: Vec<u8>| pb::CheckInRequest { facts_digest, ..from_boot(1, 1) };
    let full_facts = [i32::from(pb::Need::FullFacts)];
    assert_eq!(house.answer(1, with(vec![1; 32])).await.needs, NOTHING);
    assert_eq!(house.answer(1, with(vec![2; 32])).await.needs, full_facts);
    assert_eq!(house.answer(1, with(vec![])).await.needs, full_facts);
    let facts = Some(enroll::DeviceFacts { platform: enroll::Platform::Linux.into(), ..Default::default() });
    let changed = enroll::DeviceFactsChanged { facts, facts_digest: vec![2; 32] };
    house.enroll(1, kind::FACTS_CHANGED, &changed).await;
    assert_eq!(house.answer(1, with(vec![2; 32])).await.needs, NOTHING);
    let of_old_form = enroll::DeviceFactsChanged { facts_digest: vec![], ..changed };
    house.enroll(1, kind::FACTS_CHANGED, &of_old_form).await;
    assert_eq!(house.answer(1, with(vec![])).await.needs, NOTHING, "nothing is known, nothing was said");
    house.end().await;
}

#[tokio::test]
async fn a_new_certificate_is_asked_for_after_two_thirds_of_its_life() {
    let house = House::with_devices().await;
    let issued = house.clock.now();
    let serial = [issued.micros().to_be_bytes(), [7; 8]].concat();
    let certificate = Certificate { serial, not_after: issued.plus(Duration::from_secs(7 * 24 * 3_600)) };
    let ask = async || {
        let mut request = from_device(0, pb::CheckInRequest { facts_digest: vec![0; 32], ..from_boot(1, 1) });
        request.extensions_mut().insert(certificate.clone());
        house.grpc.check_in(request).await.unwrap().into_inner().needs
    };
    assert_eq!(ask().await, NOTHING);
    house.clock.advance(Duration::from_secs(5 * 24 * 3_600));
    assert_eq!(ask().await, [i32::from(pb::Need::Renewal)]);
    house.end().await;
}

#[tokio::test]
async fn two_boots_that_take_turns_are_told_to_the_log_once() {
    let house = House::with_devices().await;
    for (boot, sequence) in [(1, 5), (2, 1), (1, 6), (2, 2), (1, 7)] {
        house.answer(0, from_boot(boot, sequence)).await;
    }
    for (boot, sequence) in [(1, 5), (2, 1), (2, 2)] {
        house.answer(1, from_boot(boot, sequence)).await;
    }
    // The log is told beside the check-in.
    let told =
        async |n| house.told::<pb::DuplicateSessionsObserved>(Aggregate::Session, device(n).uuid()).await;
    let comes = async {
        while told(0).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, comes).await.unwrap();
    let id = device(0).uuid();
    let log = house.end_with_log().await;
    let noted: Vec<pb::DuplicateSessionsObserved> =
        payloads(&log, StreamId::new(TENANT, Aggregate::Session, id)).await;
    assert_eq!(noted.len(), 1);
    assert_eq!(noted[0].boot_ids, [vec![2; 16], vec![1; 16]]);
    let other = StreamId::new(TENANT, Aggregate::Session, device(1).uuid());
    assert!(payloads::<pb::DuplicateSessionsObserved>(&log, other).await.is_empty());
}

#[tokio::test]
async fn who_checked_in_is_told_when_the_process_stops() {
    let house = House::with_devices().await;
    for n in [0, 2, 2] {
        house.answer(n, from_boot(1, 1)).await;
    }
    let log = house.end_with_log().await;
    let told: Vec<pb::DevicesSeen> = payloads(&log, attendance::stream(TENANT)).await;
    let [pb::DevicesSeen { devices }] = &told[..] else { panic!("{told:?}") };
    let devices = RoaringBitmap::deserialize_from(&devices[..]).unwrap();
    assert_eq!(devices.into_iter().collect::<Vec<_>>(), [0, 2]);
}
