use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use muster_client::Client;
use muster_errors::{ErrorCode, Fault};
use muster_proto::report::v1 as pb;
use muster_runtime::server;
use tokio::net::TcpSocket;
use tonic::Code;

use crate::fixture::{STATUS_BYTES_MAX, mk_server, mk_server_for, report, unserved};

#[tokio::test]
async fn an_oversized_message_is_refused_with_its_code() {
    let server = mk_server().await;
    let (_, client) = server.as_device();
    let fault = report(&client, &"x".repeat(STATUS_BYTES_MAX)).await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::MessageTooLarge);
    report(&client, "").await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_said_to_be() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let fault = server::bind(address).await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::PortInUse);
    assert!(fault.message.contains(&address.to_string()), "{fault}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let server = mk_server_for(1).await;
    let (_, first) = server.as_device();
    report(&first, "").await.unwrap();
    let (_, second) = server.as_device();
    assert_eq!(report(&second, "").await.unwrap_err().code, ErrorCode::ServerUnreachable);
    report(&first, "").await.unwrap();
    assert!(server.metrics.encode().contains("connections_total{outcome=\"limit\"}"));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_too_slow_is_a_deadline() {
    let server = mk_server().await;
    let mut options = server.options();
    let (_, device) = server.as_device();
    // Bound but not listening: refuses, and is nobody else's meanwhile.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    options.endpoint = format!("https://{}", closed.local_addr().unwrap());
    let fault = report(&Client::connect(options).unwrap(), "").await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::ServerUnreachable);
    let mut request = tonic::Request::new(pb::ReportStatusRequest {
        status: Some(pb::DeviceStatus { refused_reason: "wait".to_owned(), ..Default::default() }),
    });
    request.set_timeout(Duration::from_millis(50));
    let status = device.device_reports().report_status(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn a_read_that_failed_for_the_moment_is_made_again_but_not_for_ever() {
    let server = mk_server().await;
    let status = server
        .as_admin()
        .reports()
        .get_policy_report(pb::GetPolicyReportRequest::default())
        .await
        .unwrap_err();
    assert_eq!(Fault::from_status(&status).code, ErrorCode::LogConflict);
    assert_eq!(server.probe.refused.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_unknown_service_is_unimplemented() {
    let server = mk_server().await;
    assert_eq!(unserved(&server.as_admin()).await.code(), Code::Unimplemented);
}

/// Without TCP_NODELAY on both sides each of these takes 40 ms.
#[tokio::test]
async fn small_calls_in_sequence_do_not_wait_for_delayed_acknowledgements() {
    let server = mk_server().await;
    let (_, client) = server.as_device();
    report(&client, "").await.unwrap();
    let mut took = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        report(&client, "").await.unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    assert!(took[50] < Duration::from_millis(20), "median {:?}", took[50]);
}
