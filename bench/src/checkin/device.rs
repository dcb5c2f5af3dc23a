//! Devices of the benchmark: who they are, and how they connect.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use muster_pki::{Identity, InitOptions, LocalTrust, SpiffeId, csr, tls};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::device_policy_service_client::DevicePolicyServiceClient;
use muster_types::id::derive;
use muster_types::{Clock as _, DeviceId, GroupId, SystemClock, TenantId};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

const CERTIFICATE_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The device with an ordinal.
pub(crate) fn device(n: u32) -> DeviceId {
    DeviceId::from_uuid(derive("bench device", &[&n.to_be_bytes()]))
}

/// The group of all devices.
pub(crate) fn group() -> GroupId {
    GroupId::from_uuid(derive("bench group", &[]))
}

/// A folder of trust.
pub(crate) fn trust(dir: &Path) -> anyhow::Result<LocalTrust> {
    Ok(LocalTrust::init(&dir.join("pki"), &InitOptions::local(SystemClock.now()))?)
}

/// A device that calls.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// Its TLS settings, with the sessions that it can resume.
    pub(super) tls: Arc<ClientConfig>,
    sequence: u64,
    etag: Vec<u8>,
    version: u64,
}

/// The first devices of a fleet, with their certificates; one key for all of them.
pub(super) fn devices(trust: &LocalTrust, count: u32) -> anyhow::Result<Vec<Device>> {
    let key = rcgen::KeyPair::generate()?;
    let csr = csr::parse(&csr::create(&key)?)?;
    let authority = trust.authority().ok_or_else(|| anyhow::anyhow!("the folder holds an authority"))?;
    let now = SystemClock.now();
    let issue = |n| {
        let id = SpiffeId::device(trust.trust_domain().clone(), TenantId::DEFAULT, device(n));
        let issued = authority.issue_device(&csr, &id, now, now.plus(CERTIFICATE_LIFE))?;
        let identity = Identity::from_der(vec![issued.certificate_der], key.serialize_der());
        let tls = tls::client_config(trust.ca_certs(), Some(&identity))?;
        Ok(Device { tls, sequence: 0, etag: Vec::new(), version: 0 })
    };
    (0..count).map(issue).collect()
}

impl Device {
    /// Opens a TLS connection.
    pub(super) async fn open(
        tls: Arc<ClientConfig>,
        address: SocketAddr,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(address.ip().into());
        TlsConnector::from(tls).connect(name, stream).await
    }

    /// A channel on a connection of its own.
    pub(super) async fn connect(&self, address: SocketAddr) -> anyhow::Result<Channel> {
        let tls = self.tls.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let tls = tls.clone();
            async move { Self::open(tls, address).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(endpoint.connect_with_connector(connector).await?)
    }

    /// What it says next: that it has what it should have, or with `anew` that it has nothing.
    pub(super) fn request(&mut self, anew: bool) -> pb::CheckInRequest {
        self.sequence += 1;
        let (applied_etag, applied_version) =
            if anew { (Vec::new(), 0) } else { (self.etag.clone(), self.version) };
        pb::CheckInRequest {
            sequence: self.sequence,
            session_id: vec![7; 16],
            received_etag: applied_etag.clone(),
            applied_etag,
            facts_digest: vec![2; 32],
            report_digest: vec![3; 32],
            apply_state: pb::ApplyState::Applied.into(),
            applied_version,
            boot_id: vec![4; 16],
            policy_keys_digest: Vec::new(),
        }
    }

    /// Takes the policy it should have.
    pub(super) async fn settle(&mut self, address: SocketAddr) -> anyhow::Result<pb::PolicyDocument> {
        use prost::Message as _;
        let mut client = DevicePolicyServiceClient::new(self.connect(address).await?);
        let reply = client.check_in(self.request(true)).await?.into_inner();
        let Some(pb::check_in_response::Outcome::Policy(policy)) = reply.outcome else {
            anyhow::bail!("the first check-in brought no policy")
        };
        let document = pb::PolicyDocument::decode(policy.payload)?;
        (self.etag, self.version) = (document.etag.clone(), document.version);
        let again = client.check_in(self.request(false)).await?.into_inner();
        let settled = matches!(again.outcome, Some(pb::check_in_response::Outcome::NotModified(_)));
        anyhow::ensure!(settled && again.needs.is_empty(), "the second check-in was not settled: {again:?}");
        Ok(document)
    }
}
