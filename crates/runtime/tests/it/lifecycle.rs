use std::sync::Arc;

use hyper_util::rt::TokioIo;
use muster_client::Client;
use muster_errors::ErrorCode;
use muster_proto::report::v1::ReportStatusRequest;
use muster_proto::report::v1::device_report_service_client::DeviceReportServiceClient;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

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
    let device = mk_device();
    let identity = mk_identity(&server.trust, device);
    let config = muster_pki::tls::client_config(server.trust.ca_certs(), Some(&identity)).unwrap();
    for _ in 0..2 {
        let mut client = DeviceReportServiceClient::new(connection(&server, &config));
        let answer = client.report_status(ReportStatusRequest::default()).await.unwrap();
        assert_eq!(answer.into_inner().report_digest, device.as_bytes());
    }
    let metrics = server.metrics.encode();
    for outcome in ["full", "resumed"] {
        assert!(metrics.contains(&format!("connections_total{{outcome=\"{outcome}\"}} 1")), "{metrics}");
    }
}

/// A connection of its own, with the sessions of `config`.
fn connection(server: &Server, config: &Arc<ClientConfig>) -> Channel {
    let (address, config) = (server.address, config.clone());
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
        let config = config.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::from(address.ip());
            TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
        }
    }))
}

#[tokio::test]
async fn both_forms_of_reflection_list_the_services() {
    let server = mk_server().await;
    let transport = server.anonymous().transport();
    let request = v1::ServerReflectionRequest {
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(transport.clone());
    let answer = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    let listed = format!("{:?}", answer.into_inner().message().await.unwrap());
    assert!(listed.contains("muster.report.v1.DeviceReportService"), "{listed}");

    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
        ..Default::default()
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(transport);
    let answer = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    let listed = format!("{:?}", answer.into_inner().message().await.unwrap());
    assert!(listed.contains("muster.report.v1.DeviceReportService"), "{listed}");
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
