use std::sync::Arc;

use muster_pki::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::fixture::{Server, mk_device, mk_identity, mk_server};

/// More than a server that keeps sessions in memory remembers by default.
const DEVICES: usize = 300;

impl Server {
    /// Connects, and waits for the server's first words, before which it sends its ticket.
    async fn shake(&self, tls: &Arc<ClientConfig>) -> HandshakeKind {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::IpAddress(self.address.ip().into());
        let mut stream = TlsConnector::from(tls.clone()).connect(name, stream).await.unwrap();
        stream.read_u8().await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        session.handshake_kind().unwrap()
    }
}

#[tokio::test]
async fn every_device_resumes_its_session_however_many_there_are() {
    let server = mk_server().await;
    let identity = mk_identity(&server.trust, mk_device());
    let config = || tls::client_config(server.trust.ca_certs(), Some(&identity)).unwrap();
    let devices: Vec<_> = (0..DEVICES).map(|_| config()).collect();
    for device in &devices {
        assert_eq!(server.shake(device).await, HandshakeKind::Full);
    }
    for device in &devices {
        assert_eq!(server.shake(device).await, HandshakeKind::Resumed);
    }
    assert_eq!(server.shake(&devices[0]).await, HandshakeKind::Resumed, "each time with a new ticket");
    let metrics = server.metrics.encode();
    assert!(
        metrics.contains(&format!("connections_total{{outcome=\"resumed\"}} {}", DEVICES + 1)),
        "{metrics}"
    );
}
