//! The inventory is read: filtered, ordered, page by page.

use muster_errors::{ErrorCode, Fault};
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::Service;

use crate::server::{PARENT, TestDevice, TestServer, code};

fn list(filter: &str, order_by: &str) -> pb::ListDevicesRequest {
    pb::ListDevicesRequest {
        parent: PARENT.into(),
        filter: filter.into(),
        order_by: order_by.into(),
        ..Default::default()
    }
}

/// A server on which so many devices came in, `web-1` first.
async fn fleet(count: u8) -> (TestServer, Vec<pb::OnboardResponse>) {
    let server = TestServer::start().await;
    let token = server.token(100).await;
    let mut onboarded = Vec::new();
    for hardware in 1..=count {
        onboarded.push(server.onboard(&token.secret, &TestDevice::new(hardware)).await.expect("let in"));
    }
    (server, onboarded)
}

/// A page, as of all that was written so far.
async fn page(
    server: &TestServer,
    request: pb::ListDevicesRequest,
) -> Result<pb::ListDevicesResponse, Fault> {
    let admin = server.admin();
    admin.see(&server.written().await);
    let page = admin.enrollment_admin().list_devices(request).await;
    page.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
}

fn hostnames(page: &pb::ListDevicesResponse) -> Vec<&str> {
    page.devices.iter().filter_map(|device| Some(device.facts.as_ref()?.hostname.as_str())).collect()
}

#[tokio::test]
async fn a_device_shows_what_it_is_and_how_it_stands() {
    let (server, onboarded) = fleet(1).await;
    let listed = page(&server, list("", "")).await.expect("a page");
    let [device] = &listed.devices[..] else { panic!("{listed:?}") };
    assert_eq!(device.name, onboarded[0].device);
    assert_eq!((device.enrollment_code.as_str(), device.defender_code), ("ENROLLED", 1));
    assert_eq!(device.enrollment_status(), pb::EnrollmentStatus::Succeeded);
    assert_eq!(device.managed_by(), pb::ManagedBy::Muster);
    assert_eq!(device.management_type, "MicrosoftSense");
    assert_eq!(device.device_type(), pb::DeviceType::Linux);
    assert_eq!(device.registration_kind(), RegistrationKind::Synthetic);
    assert_eq!(device.join_type, "", "a synthetic registration has none");
    assert_eq!(device.enrollment_action, "", "there is nothing to do");
    assert!(!device.enrollment_message.is_empty() && device.system_labels.is_empty());
    assert!(device.onboard_time.is_some() && device.last_seen_time.is_some());
    assert_eq!(listed.total_size, Some(1));
    assert_eq!(listed.next_page_token, "");
}

#[tokio::test]
async fn devices_are_filtered_and_ordered() {
    let (server, _) = fleet(4).await;
    let found = async |filter: &str, order: &str| {
        let page = page(&server, list(filter, order)).await.expect("a page");
        (hostnames(&page).join(" "), page.total_size)
    };
    assert_eq!(found("", "hostname desc").await, ("web-4 web-3 web-2 web-1".into(), Some(4)));
    assert_eq!(found("", "onboard_time desc").await, ("web-4 web-3 web-2 web-1".into(), Some(4)));
    assert_eq!(found("", "last_seen_time").await, ("web-1 web-2 web-3 web-4".into(), Some(4)));
    assert_eq!(found("platform = LINUX", "hostname").await, ("web-1 web-2 web-3 web-4".into(), Some(4)));
    assert_eq!(found("platform = WINDOWS", "").await, (String::new(), Some(0)));
    assert_eq!(found("hostname = web-2 OR hostname = WEB-3", "").await, ("web-2 web-3".into(), None));
}

#[tokio::test]
async fn a_list_that_cannot_be_understood_is_refused() {
    let (server, _) = fleet(0).await;
    let wrong = page(&server, list("colour = red", "")).await.expect_err("refused");
    assert_eq!((wrong.code, wrong.metadata["offset"].as_str()), (ErrorCode::FilterInvalid, "0"));
    assert_eq!(wrong.fields[0].field, "filter");
    let wrong = page(&server, list("", "colour")).await.expect_err("refused");
    assert_eq!((wrong.code, wrong.fields[0].field.as_str()), (ErrorCode::FilterInvalid, "order_by"));
    let refused = server.anonymous().enrollment_admin().list_devices(list("", "")).await;
    assert_eq!(code(refused), Some(ErrorCode::AdminTokenInvalid));
}

#[tokio::test]
async fn pages_go_on_where_they_ended_whoever_comes_meanwhile() {
    let (server, _) = fleet(5).await;
    let token = server.token(100).await;
    let mut newcomer = 100;
    for (order, expected) in [
        ("", "web-1 web-2 web-3 web-4 web-5"),
        ("hostname", "web-1 web-2 web-3 web-4 web-5"),
        ("hostname desc", "web-5 web-4 web-3 web-2 web-1"),
        ("onboard_time desc", "web-5 web-4 web-3 web-2 web-1"),
    ] {
        let (mut listed, mut request) =
            (Vec::new(), pb::ListDevicesRequest { page_size: 2, ..list("", order) });
        loop {
            let page = page(&server, request.clone()).await.expect("a page");
            listed.extend(hostnames(&page).into_iter().map(str::to_owned));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            server.onboard(&token.secret, &TestDevice::new(newcomer)).await.expect("let in");
            newcomer += 1;
        }
        listed.retain(|name| name.len() == "web-1".len());
        assert_eq!(listed.join(" "), expected, "{order}");
    }
    let first = page(&server, pb::ListDevicesRequest { page_size: 2, ..list("", "") }).await.expect("a page");
    let other = pb::ListDevicesRequest { page_token: first.next_page_token, ..list("", "hostname") };
    let refused = page(&server, other).await.expect_err("a token of another order");
    assert_eq!((refused.code, refused.fields[0].field.as_str()), (ErrorCode::ArgumentInvalid, "page_token"));
}

#[tokio::test]
async fn who_managed_a_device_is_read_from_the_log() {
    let (server, onboarded) = fleet(1).await;
    let request = |name: String| pb::ListAuthorityIntervalsRequest { name, ..Default::default() };
    let admin = server.admin().enrollment_admin();
    let listed = admin.clone().list_authority_intervals(request(onboarded[0].device.clone())).await;
    let intervals = listed.expect("listed").into_inner().intervals;
    let who: Vec<_> = intervals.iter().map(pb::AuthorityInterval::managed_by).collect();
    assert_eq!(who, [pb::ManagedBy::Nobody, pb::ManagedBy::Muster]);
    assert_eq!(intervals[0].end_time, intervals[1].start_time);
    assert_eq!((intervals[1].end_time, intervals[1].enrollment_code.as_str()), (None, "ENROLLED"));
    let unknown = request(format!("{PARENT}/devices/{}", uuid::Uuid::nil()));
    let refused = admin.clone().list_authority_intervals(unknown).await;
    assert_eq!(code(refused), Some(ErrorCode::DeviceUnknown));
}

#[tokio::test]
async fn every_enrollment_code_is_explained() {
    let server = TestServer::start().await;
    let admin = server.admin();
    let listed = admin.enrollment_admin().list_enrollment_codes(pb::ListEnrollmentCodesRequest {}).await;
    let codes = listed.expect("listed").into_inner().enrollment_codes;
    assert_eq!(codes.len(), muster_types::EnrollmentCode::ALL.len());
    assert!(codes.is_sorted_by_key(|code| code.code.clone()));
    assert!(codes.iter().all(|code| !code.cause.is_empty() && !code.action.is_empty()));
    assert_eq!(admin.positions().get(Service::Enroll), 0);
}
