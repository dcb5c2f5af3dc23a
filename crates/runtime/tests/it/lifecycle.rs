use std::sync::Arc;
use std::time::Duration;

use muster_client::Client;
use muster_errors::ErrorCode;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{Server, mk_device, mk_identity, mk_server, report};

#[tokio::test]
async fn a_drain_lets_calls_in_flight_end_and_takes_no_new_ones() {
    let server = mk_server().await;
    let (device, client) = server.as_device();
    let in_flight = report(&client, "wait");
    let stopped = async {
        server.probe.entered.notified().await;
        server.tasks.stop();
        until_closed(&server).await;
        server.probe.release.notify_one();
        server.stop().await;
    };
    let (answer, ()) = tokio::join!(in_flight, stopped);
    assert_eq!(answer, Ok(device.as_bytes().to_vec()));
    let late = Client::connect(server.options()).unwrap();
    assert_eq!(report(&late, "").await.unwrap_err().code, ErrorCode::ServerUnreachable);
}

/// Ends when the port takes no more connections.
async fn until_closed(server: &Server) {
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_device_that_comes_back_resumes_its_session_and_stays_known() {
    let server = mk_server().await;
    let identity = mk_identity(&server.trust, mk_device());
    let config = muster_pki::tls::client_config(server.trust.ca_certs(), Some(&identity)).unwrap();
    assert_eq!(handshake(&server, &config).await, Some(HandshakeKind::Full));
    assert_eq!(handshake(&server, &config).await, Some(HandshakeKind::Resumed));
    server.stop().await;
    let metrics = server.metrics.encode();
    assert!(metrics.contains("connections_total{outcome=\"resumed\"} 1"), "{metrics}");
}

async fn handshake(server: &Server, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::from(server.address.ip());
    let mut stream = TlsConnector::from(config.clone()).connect(name, stream).await.unwrap();
    // The ticket comes with the server's first bytes.
    let mut first = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut first)).await;
    assert!(read.unwrap().is_ok());
    stream.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn health_is_told_by_service_and_for_all() {
    let server = mk_server().await;
    let mut health = HealthClient::new(server.anonymous().transport());
    for (service, expected) in [
        ("", Some(ServingStatus::Serving)),
        ("muster.report.v1.ReportService", Some(ServingStatus::Serving)),
        ("muster.policy.v1.PolicyService", None),
    ] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.ok().map(|answer| answer.into_inner().status());
        assert_eq!(status, expected, "{service:?}");
    }
}
