//! Check-in and watch.

use std::time::Duration;

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_policy::checkin::{POLICY_LIFE, RENEW_EVERY};
use muster_proto::convert::moment;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::check_in_response::Outcome;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyService as _;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_runtime::Caller;
use muster_types::{TenantId, setting};
use prost::Message as _;
use tonic::Request;

use crate::house::{House, TENANT, admin, by, device, device_name, from_device, level};

/// Longest wait for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(5);

impl House {
    async fn check_in(&self, n: u8, applied_etag: &[u8]) -> Outcome {
        let request =
            pb::CheckInRequest { sequence: 1, applied_etag: applied_etag.into(), ..Default::default() };
        self.answer(n, request).await.outcome.unwrap()
    }

    pub(crate) async fn answer(&self, n: u8, request: pb::CheckInRequest) -> pb::CheckInResponse {
        self.grpc.check_in(from_device(n, request)).await.unwrap().into_inner()
    }

    pub(crate) fn opened(&self, outcome: Outcome) -> pb::PolicyDocument {
        let Outcome::Policy(signed) = outcome else { panic!("no policy: {outcome:?}") };
        muster_envelope::Document::open(&signed, self.believed()).unwrap();
        pb::PolicyDocument::decode(&signed.payload[..]).unwrap()
    }
}

#[tokio::test]
async fn a_device_gets_a_policy_signed_for_it_and_then_nothing_more() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let document = house.opened(house.check_in(0, &[]).await);
    assert_eq!(document.tenant, TENANT.to_string());
    assert_eq!(document.device_id, device(0).as_bytes());
    assert_eq!(document.settings, [level("real_time")]);
    let (issue, expire) = (moment(document.issue_time.unwrap()), moment(document.expire_time.unwrap()));
    assert_eq!(expire.since(issue), POLICY_LIFE);
    assert_eq!(house.check_in(0, &document.etag).await, Outcome::NotModified(pb::NotModified {}));
    house.end().await;
}

#[tokio::test]
async fn versions_rise_with_every_change() {
    let house = House::with_devices().await;
    let before = house.opened(house.check_in(0, &[]).await);
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let after = house.opened(house.check_in(0, &before.etag).await);
    assert!(after.version > before.version, "{} after {}", after.version, before.version);
    house.end().await;
}

#[tokio::test]
async fn a_device_with_nothing_assigned_gets_the_empty_policy() {
    let house = House::with_devices().await;
    let document = house.opened(house.check_in(2, &[]).await);
    assert!(document.settings.is_empty());
    assert_eq!(document.etag, setting::etag([]));
    assert_eq!(house.check_in(2, &document.etag).await, Outcome::NotModified(pb::NotModified {}));
    house.end().await;
}

#[tokio::test]
async fn a_policy_is_renewed_before_half_its_life_is_over() {
    let house = House::with_devices().await;
    let document = house.opened(house.check_in(2, &[]).await);
    house.clock.advance(RENEW_EVERY);
    let renewed = house.opened(house.check_in(2, &document.etag).await);
    assert_eq!(renewed.etag, document.etag);
    assert!(moment(renewed.expire_time.unwrap()) > moment(document.expire_time.unwrap()));
    assert_eq!(house.check_in(2, &document.etag).await, Outcome::NotModified(pb::NotModified {}));
    house.end().await;
}

#[tokio::test]
async fn an_assignment_reaches_an_open_watch() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    let applied_etag = setting::etag([]).to_vec();
    let open = |n| from_device(n, pb::WatchRequest { applied_etag: applied_etag.clone() });
    let mut member = house.grpc.watch(open(0)).await.unwrap().into_inner();
    let outsider = house.grpc.watch(open(2)).await.unwrap().into_inner();
    house.assign(&policy, 0).await;
    let hint = tokio::time::timeout(SOON, member.next()).await.unwrap().unwrap().unwrap();
    let document = house.opened(house.check_in(0, &applied_etag).await);
    assert_eq!(hint.etag, document.etag);
    house.tasks.stop();
    assert!(
        tokio::time::timeout(SOON, member.next()).await.unwrap().is_none(),
        "streams end with the process"
    );
    assert_eq!(outsider.count().await, 0, "nothing changed for the outsider");
    house.end().await;
}

#[tokio::test]
async fn a_watch_opened_late_is_hinted_at_once() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await.name;
    house.assign(&policy, 0).await;
    let open = from_device(0, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
    let mut hints = house.grpc.watch(open).await.unwrap().into_inner();
    assert!(tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().is_ok());
    house.end().await;
}

#[tokio::test]
async fn a_sync_hints_a_device_that_watches_and_says_whether_one_does() {
    let house = House::with_devices().await;
    let sync = || admin(pb::SyncDeviceRequest { device: device_name(0), ..Default::default() });
    assert!(!house.grpc.sync_device(sync()).await.unwrap().into_inner().connected);
    let open = from_device(0, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
    let mut hints = house.grpc.watch(open).await.unwrap().into_inner();
    assert!(house.grpc.sync_device(sync()).await.unwrap().into_inner().connected);
    assert!(tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().is_ok());
    house.end().await;
}

#[tokio::test(start_paused = true)]
async fn strangers_are_refused() {
    let house = House::with_devices().await;
    let check_in = pb::CheckInRequest::default;
    let code = |status: tonic::Status| Fault::from_status(&status).code;
    let nobody = house.grpc.check_in(Request::new(check_in())).await.unwrap_err();
    assert_eq!(code(nobody), ErrorCode::CertificateRequired);
    let tenant: TenantId = "other".parse().unwrap();
    let foreign = by(Caller::Device { tenant, device: device(0) }, check_in());
    assert_eq!(code(house.grpc.check_in(foreign).await.unwrap_err()), ErrorCode::PermissionDenied);
    assert_eq!(code(house.grpc.check_in(admin(check_in())).await.unwrap_err()), ErrorCode::PermissionDenied);
    let unknown = house.grpc.check_in(from_device(9, check_in())).await.unwrap_err();
    assert_eq!(code(unknown), ErrorCode::DeviceUnknown);
    house.end().await;
}
