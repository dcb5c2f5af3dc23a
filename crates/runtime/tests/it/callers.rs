use std::time::Duration;

use muster_client::Client;
use muster_errors::{ErrorCode, Fault};
use muster_pki::AdminToken;
use muster_types::Service;

use crate::fixture::{mk_device, mk_identity, mk_server, mk_trust, read, report};

fn code<T: std::fmt::Debug>(answer: Result<T, Fault>) -> ErrorCode {
    answer.unwrap_err().code
}

#[tokio::test]
async fn a_device_is_known_by_its_certificate() {
    let server = mk_server().await;
    let (device, client) = server.as_device();
    assert_eq!(report(&client, "").await, Ok(device.as_bytes().to_vec()));
    assert_eq!(code(read(&client).await), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn without_a_certificate_nobody_is_a_device() {
    let server = mk_server().await;
    assert_eq!(code(report(&server.anonymous(), "").await), ErrorCode::CertificateRequired);
    assert_eq!(code(report(&server.as_admin(), "").await), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn a_foreign_certificate_is_refused_and_said_to_be() {
    let server = mk_server().await;
    let (_dir, foreign) = mk_trust();
    let client = server.as_peer(mk_identity(&foreign, mk_device()));
    assert_eq!(code(report(&client, "").await), ErrorCode::CertificateInvalid);
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_believed() {
    let server = mk_server().await;
    let (_dir, foreign) = mk_trust();
    let mut options = server.options();
    options.authorities = foreign.ca_certs().to_vec();
    let client = Client::connect(options).unwrap();
    assert_eq!(code(report(&client, "").await), ErrorCode::ServerUntrusted);
}

#[tokio::test]
async fn only_the_admin_token_opens_the_admin_api() {
    let server = mk_server().await;
    assert_eq!(read(&server.as_admin()).await, Ok(String::new()));
    assert_eq!(code(read(&server.anonymous()).await), ErrorCode::AdminTokenInvalid);
    let wrong = server.options().with_bearer(AdminToken::new("wrong"));
    assert_eq!(code(read(&Client::connect(wrong).unwrap()).await), ErrorCode::AdminTokenInvalid);
}

#[tokio::test]
async fn a_service_is_no_device_and_no_admin() {
    let server = mk_server().await;
    let client = server.as_peer(server.trust.service_identity(Service::Enroll).unwrap());
    assert_eq!(code(report(&client, "").await), ErrorCode::PermissionDenied);
    assert_eq!(code(read(&client).await), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn a_certificate_that_ends_while_the_connection_is_open_counts_no_more() {
    let server = mk_server().await;
    let (_, client) = server.as_device();
    report(&client, "").await.unwrap();
    server.clock.advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(code(report(&client, "").await), ErrorCode::CertificateInvalid);
}

#[tokio::test]
async fn a_client_reads_what_it_wrote() {
    let server = mk_server().await;
    let (_, device) = server.as_device();
    report(&device, "").await.unwrap();
    assert_eq!(device.positions().to_string(), "report:7");
    let admin = server.as_admin();
    admin.see(&device.positions());
    assert_eq!(read(&admin).await, Ok("report:7".to_owned()));
}
