//! Admins decide who may be managed, and devices leave.

use std::sync::Arc;
use std::time::Duration;

use muster_enroll::Config;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::memory::MemoryLog;
use muster_proto::enroll::v1 as pb;
use tonic::{Response, Status};

use crate::server::{PARENT, TestDevice, TestServer, code};

const DECIDED_WITHIN: Duration = Duration::from_secs(10);

fn scope(change: impl Fn(&mut pb::EnforcementScope)) -> pb::UpdateEnforcementScopeRequest {
    let mut scope = pb::EnforcementScope { name: format!("{PARENT}/enforcementScope"), ..Default::default() };
    change(&mut scope);
    pb::UpdateEnforcementScopeRequest { enforcement_scope: Some(scope), ..Default::default() }
}

async fn one() -> (TestServer, TestDevice, pb::OnboardResponse) {
    let server = TestServer::start().await;
    let (token, device) = (server.token(9).await, TestDevice::new(1));
    let onboarded = server.onboard(&token.secret, &device).await.expect("let in");
    (server, device, onboarded)
}

fn shown(result: Result<Response<pb::Device>, Status>) -> pb::Device {
    result.expect("shown").into_inner()
}

/// The device once its code is this one.
async fn with_code(server: &TestServer, name: &str, code: &str) -> pb::Device {
    let decided = async {
        loop {
            let device = server.shown(name).await;
            if device.enrollment_code == code {
                return device;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DECIDED_WITHIN, decided).await.expect("decided in time")
}

#[tokio::test]
async fn tags_are_set_and_taken_off() {
    let (server, _, onboarded) = one().await;
    let mut admin = server.admin().enrollment_admin();
    let tag = |add: &str, remove: &str| pb::TagDeviceRequest {
        name: onboarded.device.clone(),
        add_tags: add.split_whitespace().map(str::to_owned).collect(),
        remove_tags: remove.split_whitespace().map(str::to_owned).collect(),
        ..Default::default()
    };
    let events = server.events().await.len();
    let check = pb::TagDeviceRequest { validate_only: true, ..tag("pilot", "") };
    assert_eq!(shown(admin.tag_device(check).await).tags, ["pilot"]);
    assert_eq!(server.events().await.len(), events, "a mere check changes nothing");
    assert_eq!(shown(admin.tag_device(tag("pilot b", "")).await).tags, ["b", "pilot"]);
    assert_eq!(shown(admin.tag_device(tag("", "b")).await).tags, ["pilot"]);
    assert_eq!(server.shown(&onboarded.device).await.tags, ["pilot"]);
    let both = admin.tag_device(tag("x", "x")).await;
    assert_eq!(code(both), Some(ErrorCode::ArgumentInvalid));
    let unknown = pb::TagDeviceRequest { name: nobody(), ..tag("x", "") };
    assert_eq!(code(admin.tag_device(unknown).await), Some(ErrorCode::DeviceUnknown));
}

fn nobody() -> String {
    format!("{PARENT}/devices/{}", uuid::Uuid::nil())
}

#[tokio::test]
async fn an_offboarded_device_confirms_and_stays_away_until_it_is_allowed_back() {
    let (server, device, onboarded) = one().await;
    let mut admin = server.admin().enrollment_admin();
    let client = server.device(&device, &onboarded);
    let confirm = || pb::ConfirmOffboardingRequest { order_digest: vec![1; 32], ..Default::default() };
    let early = client.device_enrollment().confirm_offboarding(confirm()).await;
    assert_eq!(code(early), Some(ErrorCode::OrderRefused));

    let offboard = pb::OffboardDeviceRequest { name: onboarded.device.clone(), ..Default::default() };
    let check = pb::OffboardDeviceRequest { validate_only: true, ..offboard.clone() };
    assert_eq!(shown(admin.offboard_device(check).await).enrollment_code, "OFFBOARDING");
    assert_eq!(server.shown(&onboarded.device).await.enrollment_code, "ENROLLED");
    let leaving = shown(admin.offboard_device(offboard).await);
    assert_eq!(leaving.enrollment_status(), pb::EnrollmentStatus::Offboarding);
    assert!(leaving.offboarding_expire_time.is_some());
    let nobodys = server.anonymous().device_enrollment().confirm_offboarding(confirm()).await;
    assert_eq!(code(nobodys), Some(ErrorCode::CertificateRequired));
    client.device_enrollment().confirm_offboarding(confirm()).await.expect("confirmed");
    let gone = server.shown(&onboarded.device).await;
    assert_eq!((gone.enrollment_code.as_str(), gone.spiffe_id.as_str()), ("OFFBOARDED", ""));
    assert_eq!(gone.managed_by(), pb::ManagedBy::Nobody);

    let token = server.token(9).await;
    let back = server.onboard(&token.secret, &device).await;
    assert_eq!(back.map_err(|fault| fault.code), Err(ErrorCode::DeviceDeleted));
    let allow = pb::AllowReenrollmentRequest { name: onboarded.device.clone(), ..Default::default() };
    admin.allow_reenrollment(allow).await.expect("allowed");
    server.onboard(&token.secret, &device).await.expect("let in again");
    assert_eq!(server.shown(&onboarded.device).await.enrollment_code, "ENROLLED");
}

#[tokio::test]
async fn a_deleted_device_is_listed_only_when_it_is_asked_for() {
    let (server, _, onboarded) = one().await;
    let mut admin = server.admin().enrollment_admin();
    let delete = pb::DeleteDeviceRequest { name: onboarded.device.clone(), ..Default::default() };
    let check = pb::DeleteDeviceRequest { validate_only: true, ..delete.clone() };
    assert_eq!(shown(admin.delete_device(check).await).enrollment_code, "DELETED");
    let deleted = shown(admin.delete_device(delete.clone()).await);
    assert_eq!(deleted.enrollment_status(), pb::EnrollmentStatus::Deleted);
    assert_eq!(shown(admin.delete_device(delete).await).enrollment_code, "DELETED");
    let unknown = pb::DeleteDeviceRequest { name: nobody(), ..Default::default() };
    assert_eq!(code(admin.delete_device(unknown).await), Some(ErrorCode::DeviceUnknown));

    let list = |filter: &str| pb::ListDevicesRequest {
        parent: PARENT.into(),
        filter: filter.into(),
        ..Default::default()
    };
    let reader = server.admin();
    reader.see(&server.written().await);
    let all = reader.enrollment_admin().list_devices(list("")).await.expect("a page").into_inner();
    assert_eq!((all.devices.len(), all.total_size), (0, Some(0)));
    let gone = reader.enrollment_admin().list_devices(list("enrollment_status = DELETED")).await;
    assert_eq!(gone.expect("a page").into_inner().devices[0].name, onboarded.device);
}

#[tokio::test]
async fn a_change_of_scope_says_what_it_does_and_does_it() {
    let (server, device, onboarded) = one().await;
    let mut admin = server.admin().enrollment_admin();
    let get = || pb::GetEnforcementScopeRequest { name: format!("{PARENT}/enforcementScope") };
    let before = admin.get_enforcement_scope(get()).await.expect("shown").into_inner();
    assert_eq!(before.linux(), pb::ScopeMode::All);
    assert_eq!(before.tag, "MDE-Management");

    let off = scope(|scope| {
        scope.set_linux(pb::ScopeMode::Off);
        scope.legacy_labels = Some(true);
    });
    // The view counts what it has folded.
    server.shown(&onboarded.device).await;
    let check = pb::UpdateEnforcementScopeRequest { validate_only: true, ..off.clone() };
    let checked = admin.update_enforcement_scope(check).await.expect("checked").into_inner();
    assert_eq!((checked.devices_gained, checked.devices_lost, checked.devices_recoded), (0, 1, 0));
    assert_eq!(server.shown(&onboarded.device).await.enrollment_code, "ENROLLED");

    let changed = pb::UpdateEnforcementScopeRequest { etag: before.etag.clone(), ..off.clone() };
    let changed = admin.update_enforcement_scope(changed).await.expect("changed").into_inner();
    assert_eq!((changed.devices_lost, changed.devices_gained), (1, 0));
    let after = changed.enforcement_scope.expect("a scope");
    assert_eq!(after.linux(), pb::ScopeMode::Off);
    let lost = with_code(&server, &onboarded.device, "OUT_OF_SCOPE").await;
    assert_eq!((lost.managed_by(), lost.management_type.as_str()), (pb::ManagedBy::Nobody, ""));
    assert!(!lost.spiffe_id.is_empty(), "it keeps its trust");
    assert_eq!(lost.system_labels, ["MDEJoined"]);

    let stale = scope(|scope| scope.set_linux(pb::ScopeMode::All));
    let stale = pb::UpdateEnforcementScopeRequest { etag: before.etag, ..stale };
    assert_eq!(code(admin.update_enforcement_scope(stale.clone()).await), Some(ErrorCode::EtagMismatch));
    let bad = scope(|scope| scope.name = "tenants/default".into());
    assert_eq!(code(admin.update_enforcement_scope(bad).await), Some(ErrorCode::ArgumentInvalid));

    let facts = pb::ReportFactsRequest { facts: Some(device.facts.clone()), ..Default::default() };
    let reported = server.device(&device, &onboarded).device_enrollment().report_facts(facts).await;
    let reported = reported.expect("noted").into_inner();
    assert_eq!(reported.enrollment_code, "OUT_OF_SCOPE");
    assert_eq!(reported.managed_by(), pb::ManagedBy::Nobody);

    let back = pb::UpdateEnforcementScopeRequest { etag: after.etag, ..stale };
    admin.update_enforcement_scope(back).await.expect("changed back");
    let managed = with_code(&server, &onboarded.device, "ENROLLED").await;
    assert_eq!(managed.system_labels, ["MDEManaged", "MDEJoined"]);
}

#[tokio::test]
async fn a_device_that_may_not_be_managed_is_refused_with_the_reason_and_uses_nothing_up() {
    let server = TestServer::start().await;
    let mut admin = server.admin().enrollment_admin();
    let off = scope(|scope| scope.set_linux(pb::ScopeMode::Off));
    admin.update_enforcement_scope(off).await.expect("changed");
    let (token, device) = (server.token(1).await, TestDevice::new(1));
    let refused: Fault = server.onboard(&token.secret, &device).await.expect_err("refused");
    assert_eq!(refused.code, ErrorCode::EnrollmentRefused);
    assert_eq!(refused.metadata["enrollment_code"], "OUT_OF_SCOPE");
    assert!(refused.metadata["retry_after_seconds"].parse::<u32>().is_ok_and(|seconds| seconds > 0));
    let listed = server.shown(&refused.metadata["device"]).await;
    assert_eq!(listed.enrollment_status(), pb::EnrollmentStatus::Refused);
    assert!(!listed.enrollment_action.is_empty() && listed.spiffe_id.is_empty());

    let all = scope(|scope| scope.set_linux(pb::ScopeMode::All));
    admin.update_enforcement_scope(all).await.expect("changed");
    with_code(&server, &listed.name, "PENDING").await;
    let onboarded = server.onboard(&token.secret, &device).await.expect("let in with the same token");
    assert_eq!((onboarded.device, onboarded.enrollment_code.as_str()), (listed.name, "ENROLLED"));
}

#[tokio::test]
async fn onboarding_has_a_budget_of_its_own() {
    let config = Config { onboarding_rate_max: 2, ..Config::default() };
    let server = TestServer::start_as(Arc::new(MemoryLog::default()), config).await;
    let token = server.token(9).await;
    let mut refused = Vec::new();
    for hardware in 1..=4 {
        refused.extend(server.onboard(&token.secret, &TestDevice::new(hardware)).await.err());
    }
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|fault| fault.code == ErrorCode::Overloaded));
    assert_eq!(refused[0].metadata["retry_after_seconds"], "1");
    server.clock.advance(Duration::from_secs(1));
    server.onboard(&token.secret, &TestDevice::new(5)).await.expect("let in a second later");
}
