use std::time::Duration;

use muster_client::Client;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::{Actor, Append, Context, EventType, NewEvent};
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1::WatchRequest;
use muster_runtime::revocation::Reason;
use muster_types::{Aggregate, DeviceId, EventId, StreamId, TenantId, Timestamp, Version};
use prost::Message;

use crate::fixture::{Server, mk_device, mk_identity_at, mk_server, mk_server_behind, report};

/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(10);

impl Server {
    /// Appends an event of a device's registration, and waits until the server knows it.
    async fn tell(&self, device: DeviceId, version: u64, kind: &str, message: &impl Message) {
        let kind = format!("muster.identity.v1.{kind}");
        let id = muster_types::id::derive("test", &[device.as_bytes(), &version.to_be_bytes()]);
        let append = Append {
            stream: StreamId::new(TenantId::DEFAULT, Aggregate::Registration, device.uuid()),
            expected: Version(version),
            events: vec![NewEvent {
                id: EventId::from_uuid(id),
                kind: EventType::new(kind),
                payload: message.encode_to_vec().into(),
            }],
            context: Context {
                actor: Actor::admin("ada"),
                time: muster_types::Clock::now(self.clock.as_ref()),
                correlation_id: id,
                causation_id: None,
                traceparent: None,
            },
        };
        self.log.append(vec![append]).await.unwrap();
    }

    async fn known(&self, device: DeviceId, issued: Timestamp, reason: Reason) {
        let known = async {
            while self.revocations.reason(device, issued) != Some(reason) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, known).await.unwrap();
    }

    fn now(&self) -> Timestamp {
        muster_types::Clock::now(self.clock.as_ref())
    }
}

/// What calls are answered with once the client has noticed that its connection is gone.
async fn refused(client: &Client) -> Fault {
    let refused = async {
        loop {
            match report(client, "").await {
                Err(fault) if fault.code != ErrorCode::ServerUnreachable => return fault,
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(SOON, refused).await.unwrap()
}

#[tokio::test]
async fn a_revocation_closes_open_streams_and_refuses_the_next_call() {
    let server = mk_server().await;
    let (device, other) = (mk_device(), mk_device());
    let issued = server.now();
    let client = server.as_peer(mk_identity_at(&server.trust, device, issued));
    let bystander = server.as_peer(mk_identity_at(&server.trust, other, issued));
    report(&client, "").await.unwrap();
    let mut watch = client.device_policy().watch(WatchRequest::default()).await.unwrap().into_inner();
    let mut kept = bystander.device_policy().watch(WatchRequest::default()).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    assert!(kept.message().await.unwrap().is_some());

    server.tell(device, 0, "TrustRevoked", &identity::TrustRevoked::default()).await;
    let ended = tokio::time::timeout(SOON, watch.message()).await.expect("the stream ends");
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    let fault = refused(&client).await;
    assert_eq!(fault.code, ErrorCode::CertificateRevoked);
    assert_eq!(fault.metadata.get("reason").map(String::as_str), Some("revoked"));
    report(&bystander, "").await.unwrap();
    let metrics = server.metrics.encode();
    assert!(metrics.contains("revoked_connections_total 1"), "{metrics}");
    assert!(metrics.contains("revoked_calls_total{reason=\"revoked\"}"), "{metrics}");
    assert!(
        metrics.contains("connections_total{outcome=\"resumed\"}"),
        "a resumed session is cut off too: {metrics}"
    );
    drop(kept);
}

#[tokio::test]
async fn a_deleted_device_is_told_so_and_lives_again_with_a_new_certificate() {
    let server = mk_server().await;
    let device = mk_device();
    let issued = server.now();
    let identity = mk_identity_at(&server.trust, device, issued);
    let removed = identity::RegistrationRemoved {
        reason: identity::RemovalReason::Deleted.into(),
        ..Default::default()
    };
    server.tell(device, 0, "RegistrationRemoved", &removed).await;
    server.known(device, issued, Reason::Deleted).await;
    let client = server.as_peer(identity);
    assert_eq!(report(&client, "").await.unwrap_err().code, ErrorCode::DeviceDeleted);
    assert_eq!(report(&client, "").await.unwrap_err().code, ErrorCode::DeviceDeleted);

    server.clock.advance(Duration::from_secs(1));
    let again = server.as_peer(mk_identity_at(&server.trust, device, server.now()));
    report(&again, "").await.unwrap();
}

#[tokio::test]
async fn after_a_renewal_the_old_certificate_is_good_until_the_new_one_is_activated() {
    let server = mk_server().await;
    let device = mk_device();
    let issued = server.now();
    let old = server.as_peer(mk_identity_at(&server.trust, device, issued));
    report(&old, "").await.unwrap();
    server.clock.advance(Duration::from_secs(60));
    let renewed = server.now();
    let new = server.as_peer(mk_identity_at(&server.trust, device, renewed));
    report(&new, "").await.unwrap();
    report(&old, "").await.unwrap();

    let certificate_serial = [renewed.micros().to_be_bytes(), [7; 8]].concat();
    let activated = identity::CertificateActivated { certificate_serial };
    server.tell(device, 0, "CertificateActivated", &activated).await;
    let fault = refused(&old).await;
    assert_eq!(fault.code, ErrorCode::CertificateRevoked);
    assert_eq!(fault.metadata.get("reason").map(String::as_str), Some("superseded"));
    report(&new, "").await.unwrap();
}

#[tokio::test]
async fn no_device_gets_in_before_identitys_log_is_read_and_all_others_do() {
    let server = mk_server_behind().await;
    let issued = server.now();
    let (revoked, good) = (mk_device(), mk_device());
    server.tell(revoked, 0, "TrustRevoked", &identity::TrustRevoked::default()).await;
    let revoked = server.as_peer(mk_identity_at(&server.trust, revoked, issued));
    let good = server.as_peer(mk_identity_at(&server.trust, good, issued));
    for client in [&revoked, &good] {
        assert_eq!(report(client, "").await.unwrap_err().code, ErrorCode::ViewBehind);
    }
    assert!(!server.revocations.readiness().is_ready());
    crate::fixture::read(&server.as_admin()).await.unwrap();

    server.gate.add_permits(1);
    let ready = async {
        while !server.revocations.caught_up() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, ready).await.unwrap();
    assert_eq!(report(&revoked, "").await.unwrap_err().code, ErrorCode::CertificateRevoked);
    report(&good, "").await.unwrap();
}
