//! Devices come in.

use std::sync::Arc;
use std::time::Duration;

use muster_errors::ErrorCode;
use muster_eventlog::memory::MemoryLog;
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::{CertificateProof, RegistrationProof, registration_proof};

use crate::server::{PARENT, TestDevice, TestServer, code};

#[tokio::test]
async fn a_device_with_a_good_token_comes_in() {
    let server = TestServer::start().await;
    let token = server.token(1).await;
    let onboarded = server.onboard(&token.secret, &TestDevice::new(1)).await.expect("let in");

    assert_eq!(onboarded.enrollment_status(), pb::EnrollmentStatus::Succeeded);
    assert_eq!(onboarded.certificate_chain_der.len(), 1);
    assert_eq!(onboarded.trust_bundle_der.len(), 1);
    assert_eq!(onboarded.policy_keys.len(), 1);
    assert!(onboarded.endpoints.is_some_and(|at| at.policy.starts_with("https://127.0.0.1:")));
    assert_eq!(
        server.events().await,
        [
            "OnboardingTokenIssued",
            "OnboardingTokenUsed",
            "DeviceOnboarded",
            "EnrollmentSucceeded",
            "ManagementAuthorityChanged"
        ]
    );
    let peer = muster_pki::peer::identity(&onboarded.certificate_chain_der[0]).expect("a SPIFFE ID");
    assert_eq!(peer.to_string(), format!("spiffe://muster.local/{}", singular(&onboarded.device)));
}

/// `tenants/x/devices/y` as the path of a SPIFFE ID.
fn singular(name: &str) -> String {
    name.replace("tenants", "tenant").replace("devices", "device")
}

#[tokio::test]
async fn a_lost_reply_burns_nothing() {
    let server = TestServer::start().await;
    let (token, device) = (server.token(1).await, TestDevice::new(1));
    let first = server.onboard(&token.secret, &device).await.expect("let in");
    server.clock.advance(Duration::from_secs(120));
    let again = server.onboard(&token.secret, &device).await.expect("let in again, though it has expired");
    assert_eq!(again.device, first.device);
    assert_eq!(server.events().await.len(), 5);
}

#[tokio::test]
async fn a_device_that_came_in_while_identity_was_away_comes_back_for_its_certificate() {
    let nobody = "https://127.0.0.1:1".to_owned();
    let before = TestServer::start_on(Arc::new(MemoryLog::default()), Some(nobody)).await;
    let (token, device) = (before.token(1).await, TestDevice::new(1));
    let away = before.onboard(&token.secret, &device).await;
    assert_eq!(away.map_err(|fault| fault.code), Err(ErrorCode::ServerUnreachable));
    let half = ["OnboardingTokenIssued", "OnboardingTokenUsed", "DeviceOnboarded"];
    assert_eq!(before.events().await, half);

    let after = TestServer::start_on(before.log.clone(), None).await;
    let onboarded = after.onboard(&token.secret, &device).await.expect("let in");
    assert_eq!(onboarded.enrollment_status(), pb::EnrollmentStatus::Succeeded);
    assert_eq!(
        after.events().await,
        [&half[..], &["EnrollmentSucceeded", "ManagementAuthorityChanged"]].concat()
    );
}

#[tokio::test]
async fn a_known_device_with_a_new_key_is_the_same_device() {
    let server = TestServer::start().await;
    let token = server.token(2).await;
    let first = server.onboard(&token.secret, &TestDevice::new(1)).await.expect("let in");
    let again = server.onboard(&token.secret, &TestDevice::new(1)).await.expect("let in again");
    assert_eq!(again.device, first.device);
    assert_eq!(again.enrollment_status(), pb::EnrollmentStatus::Succeeded);
    let used_up = server.onboard(&token.secret, &TestDevice::new(1)).await;
    assert_eq!(used_up.map_err(|fault| fault.code), Err(ErrorCode::TokenUsedUp));
}

#[tokio::test]
async fn of_many_devices_at_once_only_as_many_come_in_as_may() {
    let server = TestServer::start().await;
    let token = server.token(3).await;
    let devices: Vec<_> = (0..8).map(TestDevice::new).collect();
    let (server, secret) = (&server, token.secret.as_str());
    let calls = devices.iter().map(|device| server.onboard(secret, device));
    let mut let_in = 0;
    for outcome in futures::future::join_all(calls).await {
        match outcome {
            Ok(_) => let_in += 1,
            Err(fault) => assert_eq!(fault.code, ErrorCode::TokenUsedUp, "{fault}"),
        }
    }
    assert_eq!(let_in, 3);
}

#[tokio::test]
async fn bad_input_is_refused_with_its_code_and_leaves_nothing() {
    let server = TestServer::start().await;
    let (token, device) = (server.token(1).await, TestDevice::new(1));
    let good = device.wish(&token.secret);
    let facts = |change: fn(&mut pb::DeviceFacts)| {
        let mut facts = device.facts.clone();
        change(&mut facts);
        pb::OnboardRequest { facts: Some(facts), ..good.clone() }
    };
    let last = token.secret.len() - 1;
    let cases = [
        (pb::OnboardRequest { token: "hunter2".into(), ..good.clone() }, ErrorCode::TokenUnknown),
        (pb::OnboardRequest { token: token.secret[..last].into(), ..good.clone() }, ErrorCode::TokenUnknown),
        (pb::OnboardRequest { csr_der: vec![1, 2, 3], ..good.clone() }, ErrorCode::CsrMalformed),
        (pb::OnboardRequest { facts: None, ..good.clone() }, ErrorCode::FactsInvalid),
        (facts(|facts| facts.platform = 0), ErrorCode::PlatformUnsupported),
        (facts(|facts| facts.platform = 99), ErrorCode::PlatformUnsupported),
        (facts(|facts| facts.hostname = "x".repeat(300)), ErrorCode::FactsInvalid),
        (facts(|facts| facts.hardware_digest = vec![]), ErrorCode::FactsInvalid),
    ];
    for (request, expected) in cases {
        let refused = server.anonymous().device_enrollment().onboard(request).await;
        assert_eq!(code(refused), Some(expected));
    }
    assert_eq!(server.events().await, ["OnboardingTokenIssued"]);

    server.clock.advance(Duration::from_secs(60));
    let expired = server.onboard(&token.secret, &device).await;
    assert_eq!(expired.map_err(|fault| fault.code), Err(ErrorCode::TokenExpired));
}

#[tokio::test]
async fn facts_are_noted_when_they_change() {
    let server = TestServer::start().await;
    let (token, mut device) = (server.token(1).await, TestDevice::new(1));
    let onboarded = server.onboard(&token.secret, &device).await.expect("let in");
    let client = server.device(&device, &onboarded);
    let report =
        |facts: &pb::DeviceFacts| pb::ReportFactsRequest { facts: Some(facts.clone()), ..Default::default() };

    let same = client.device_enrollment().report_facts(report(&device.facts)).await.expect("noted");
    let same = same.into_inner();
    assert_eq!((same.facts_digest.len(), same.enrollment_code.as_str()), (32, "ENROLLED"));
    assert_eq!(same.managed_by(), pb::ManagedBy::Muster);
    assert_eq!(server.events().await.len(), 5);

    device.facts.hostname = "renamed".into();
    let changed = client.device_enrollment().report_facts(report(&device.facts)).await.expect("noted");
    assert_eq!(server.events().await.last().map(String::as_str), Some("DeviceFactsChanged"));

    let (admin, name) = (server.admin(), onboarded.device.clone());
    admin.see(&client.positions());
    let shown = admin.enrollment_admin().get_device(pb::GetDeviceRequest { name }).await.expect("shown");
    let shown = shown.into_inner();
    assert_eq!(shown.facts, Some(device.facts.clone()));
    assert_eq!(shown.facts_digest, changed.into_inner().facts_digest);
    assert_eq!(shown.managed_by(), pb::ManagedBy::Muster);

    let nobody = server.anonymous().device_enrollment().report_facts(report(&device.facts)).await;
    assert_eq!(code(nobody), Some(ErrorCode::CertificateRequired));
}

#[tokio::test]
async fn the_inventory_is_listed_in_the_order_of_onboarding() {
    let server = TestServer::start().await;
    let token = server.token(3).await;
    let mut names = Vec::new();
    for hardware in [9, 4, 7] {
        let onboarded = server.onboard(&token.secret, &TestDevice::new(hardware)).await.expect("let in");
        names.push(onboarded.device);
    }
    let admin = server.admin();
    admin.see(&"enroll:13".parse().expect("a position token"));
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListDevicesRequest { parent: PARENT.into(), page_size: 2, page_token, ..Default::default() };
        let page = admin.enrollment_admin().list_devices(request).await.expect("a page").into_inner();
        listed.extend(page.devices.into_iter().map(|device| device.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, names);

    let unknown = pb::GetDeviceRequest { name: format!("{PARENT}/devices/{}", uuid::Uuid::nil()) };
    assert_eq!(code(admin.enrollment_admin().get_device(unknown).await), Some(ErrorCode::DeviceUnknown));
}

#[tokio::test]
async fn a_proof_that_does_not_hold_lets_nobody_in_and_tells_nobody_without_a_token() {
    let server = TestServer::start().await;
    let (token, device) = (server.token(1).await, TestDevice::new(1));
    let proof = CertificateProof { chain_der: vec![vec![1, 2, 3]], signature: vec![4; 64] };
    let proof = RegistrationProof { proof: Some(registration_proof::Proof::Certificate(proof)) };
    let wish = |token: &str| pb::OnboardRequest { proof: Some(proof.clone()), ..device.wish(token) };
    let last = token.secret.len() - 1;
    let mut anonymous = server.anonymous().device_enrollment();
    let stranger = anonymous.onboard(wish(&token.secret[..last])).await;
    assert_eq!(code(stranger), Some(ErrorCode::TokenUnknown));
    assert_eq!(code(anonymous.onboard(wish(&token.secret)).await), Some(ErrorCode::ProofInvalid));
    assert_eq!(server.events().await, ["OnboardingTokenIssued"]);
    server.onboard(&token.secret, &device).await.expect("let in without the proof");
}
