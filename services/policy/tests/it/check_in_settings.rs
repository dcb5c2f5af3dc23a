//! Settings of check-ins, and devices asked to check in.

use std::time::Duration;

use futures::StreamExt as _;
use muster_errors::{ErrorCode, Fault};
use muster_policy::wire::kind;
use muster_proto::convert::{duration, moment, span};
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyService as _;
use muster_proto::policy::v1::policy_service_server::PolicyService as _;
use muster_types::id::derive;
use muster_types::{Aggregate, setting};
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::device::SOON;
use crate::house::{House, TENANT, admin, device_name, from_device, parent, position};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn name() -> String {
    format!("{}/checkInSettings", parent())
}

fn settings(interval: Duration, etag: &str) -> pb::UpdateCheckInSettingsRequest {
    let settings = pb::CheckInSettings {
        name: name(),
        interval: Some(duration(interval)),
        policy_life: Some(duration(48 * HOUR)),
        first_count: Some(0),
        second_count: Some(0),
        etag: etag.into(),
        ..Default::default()
    };
    pb::UpdateCheckInSettingsRequest { check_in_settings: Some(settings), ..Default::default() }
}

fn fault(status: &tonic::Status) -> Fault {
    Fault::from_status(status)
}

impl House {
    async fn settings(&self) -> pb::CheckInSettings {
        let request = admin(pb::GetCheckInSettingsRequest { name: name() });
        self.grpc.get_check_in_settings(request).await.unwrap().into_inner()
    }

    async fn sync(&self, devices: &[u8], id: u128) -> pb::SyncDevicesResponse {
        let request = pb::SyncDevicesRequest {
            parent: parent(),
            devices: devices.iter().map(|n| device_name(*n)).collect(),
            request_id: Uuid::from_u128(id).to_string(),
            validate_only: false,
        };
        let answer = self.grpc.sync_devices(admin(request)).await.unwrap();
        self.settled().await;
        answer.into_inner()
    }

    async fn manage_elsewhere(&self, n: u8) {
        let to = enroll::ManagedBy::Mdm.into();
        let code = "MANAGED_BY_MDM".into();
        let changed = enroll::ManagementAuthorityChanged { to, code, ..Default::default() };
        self.enroll(n, kind::AUTHORITY_CHANGED, &changed).await;
    }
}

#[tokio::test]
async fn settings_hold_their_defaults_until_an_admin_changes_them_and_then_for_the_next_check_in() {
    let house = House::with_devices().await;
    let before = house.settings().await;
    assert_eq!((span(before.interval.unwrap()), before.update_time), (HOUR * 3 / 2, None));
    assert_eq!(before.hints_per_second, Some(2_000));

    let only = pb::UpdateCheckInSettingsRequest { validate_only: true, ..settings(4 * HOUR, &before.etag) };
    let foreseen = house.grpc.update_check_in_settings(admin(only)).await.unwrap().into_inner();
    assert_eq!(span(foreseen.interval.unwrap()), 4 * HOUR);
    assert_eq!(house.settings().await, before);

    let changed = house.grpc.update_check_in_settings(admin(settings(4 * HOUR, &before.etag))).await.unwrap();
    house.seen(&position(&changed)).await;
    let changed = changed.into_inner();
    assert_eq!(house.settings().await, changed);
    assert_ne!(changed.etag, before.etag);
    let answer = house.answer(2, pb::CheckInRequest { sequence: 1, ..Default::default() }).await;
    assert!(span(answer.next_check_in.unwrap()) >= 4 * HOUR / 10);
    let document = house.opened(answer.outcome.unwrap());
    let life = moment(document.expire_time.unwrap()).since(moment(document.issue_time.unwrap()));
    assert_eq!(life, 48 * HOUR);

    let stale = house.grpc.update_check_in_settings(admin(settings(5 * HOUR, &before.etag))).await;
    assert_eq!(fault(&stale.unwrap_err()).code, ErrorCode::EtagMismatch);
    house.end().await;
}

#[tokio::test]
async fn settings_out_of_bounds_or_of_another_tenant_are_refused() {
    let house = House::with_devices().await;
    let refused = house.grpc.update_check_in_settings(admin(settings(HOUR / 60, ""))).await.unwrap_err();
    let refused = fault(&refused);
    assert_eq!(refused.code, ErrorCode::ArgumentInvalid);
    assert_eq!(refused.fields[0].field, "check_in_settings.interval");
    let other = pb::GetCheckInSettingsRequest { name: "tenants/other/checkInSettings".into() };
    let refused = house.grpc.get_check_in_settings(admin(other)).await.unwrap_err();
    assert_eq!(fault(&refused).code, ErrorCode::ArgumentInvalid);
    house.end().await;
}

#[tokio::test]
async fn many_devices_are_asked_by_one_event_and_those_that_cannot_be_are_named() {
    let house = House::with_devices().await;
    house.manage_elsewhere(1).await;
    let open = from_device(0, pb::WatchRequest { applied_etag: setting::etag([]).to_vec() });
    let mut hints = house.grpc.watch(open).await.unwrap().into_inner();
    let answer = house.sync(&[0, 1, 2, 0, 9], 1).await;
    assert_eq!((answer.connected, answer.waiting), (1, 1));
    let refused: Vec<_> = answer
        .refused
        .iter()
        .map(|r| (r.device.clone(), r.code.as_str(), r.enrollment_code.as_str()))
        .collect();
    assert_eq!(
        refused,
        [(device_name(1), "DEVICE_NOT_MANAGED", "MANAGED_BY_MDM"), (device_name(9), "DEVICE_UNKNOWN", "")]
    );
    assert!(tokio::time::timeout(SOON, hints.next()).await.unwrap().unwrap().is_ok());
    house.sync(&[0, 2], 1).await;
    let stream = derive("sync", &[TENANT.as_str().as_bytes()]);
    let told: Vec<pb::DevicesSyncRequested> = house.told(Aggregate::Sync, stream).await;
    let [asked] = &told[..] else { panic!("the same request is one event: {told:?}") };
    let asked = RoaringBitmap::deserialize_from(&asked.devices[..]).unwrap();
    assert_eq!(asked, [0, 2].into());
    house.end().await;
}

#[tokio::test]
async fn a_device_that_is_managed_elsewhere_is_not_asked() {
    let house = House::with_devices().await;
    house.manage_elsewhere(1).await;
    let request = pb::SyncDeviceRequest { device: device_name(1), ..Default::default() };
    let refused = fault(&house.grpc.sync_device(admin(request)).await.unwrap_err());
    assert_eq!(refused.code, ErrorCode::DeviceNotManaged);
    assert_eq!(refused.metadata.get("enrollment_code").map(String::as_str), Some("MANAGED_BY_MDM"));
    let none = pb::SyncDevicesRequest { parent: parent(), ..Default::default() };
    let refused = fault(&house.grpc.sync_devices(admin(none)).await.unwrap_err());
    assert_eq!(refused.code, ErrorCode::ArgumentInvalid);
    house.end().await;
}
