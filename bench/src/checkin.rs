//! Check-ins that are not modified, over mTLS on 64 open connections, against a bare tonic echo of the same sizes, with
//! tonic's own TLS and the same certificates. Client and server share the machine in both.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::try_join_all;
use muster_client::{Client, ConnectOptions, discover};
use muster_proto::convert;
use muster_proto::enroll::v1::{CreateOnboardingTokenRequest, DeviceFacts, OnboardRequest, Platform};
use muster_proto::policy::v1::check_in_response::Outcome;
use muster_proto::policy::v1::device_policy_service_client::DevicePolicyServiceClient;
use muster_proto::policy::v1::device_policy_service_server::{
    DevicePolicyService, DevicePolicyServiceServer,
};
use muster_proto::policy::v1::{
    CheckInRequest, CheckInResponse, NotModified, PolicyDocument, WatchRequest, WatchResponse,
};
use muster_runtime::TaskGroup;
use prost::Message as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::measure::{Row, rate};

const CONNECTIONS: usize = 64;
const ROUND: Duration = Duration::from_secs(3);
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Measures both in turn.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let dir = tempfile::tempdir()?;
    let tasks = TaskGroup::new();
    let fleet = crate::fleet::start(dir.path(), &tasks).await?;
    let device = Device::onboard(dir.path(), &fleet.endpoint).await?;
    let request = device.settled_request(&fleet.endpoint).await?;
    let echo = serve_echo(dir.path()).await?;

    let product = connect_all(&fleet.endpoint, &device).await?;
    let bare = connect_all(&format!("https://{echo}"), &device).await?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let bare = calls_per_second(&bare, &request).await?;
        pairs.push((calls_per_second(&product, &request).await?, bare));
    }
    tasks.shutdown(DRAIN_MAX).await.ok();
    Ok(Row::of_rates("check-in, not modified, mTLS, 64 connections", &pairs, 0.6))
}

struct Device {
    tls: ClientTlsConfig,
}

impl Device {
    async fn onboard(data_dir: &Path, endpoint: &str) -> anyhow::Result<Self> {
        let admin = Client::connect(discover::admin(data_dir, Some(endpoint))?)?;
        let request = CreateOnboardingTokenRequest {
            parent: "tenants/default".into(),
            uses_max: 1,
            ..Default::default()
        };
        let token = admin.enrollment_admin().create_onboarding_token(request).await?.into_inner().secret;
        let key = rcgen::KeyPair::generate()?;
        let options = discover::admin(data_dir, Some(endpoint))?;
        let anonymous = Client::connect(ConnectOptions { bearer: None, ..options })?;
        let facts = DeviceFacts {
            platform: Platform::Linux.into(),
            hostname: "bench".into(),
            os_id: "debian".into(),
            os_version: "12".into(),
            agent_version: "101.23052.0009".into(),
            architecture: "x86_64".into(),
            hardware_digest: vec![1; 32],
            ..DeviceFacts::default()
        };
        let csr_der = muster_pki::csr::create(&key)?;
        let request = OnboardRequest { token, csr_der, facts: Some(facts), ..OnboardRequest::default() };
        let reply = anonymous.device_enrollment().onboard(request).await?.into_inner();
        let chain: String = reply.certificate_chain_der.iter().map(|der| pem(der)).collect();
        let authority = std::fs::read_to_string(data_dir.join("pki/ca.pem"))?;
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority))
            .identity(Identity::from_pem(chain, key.serialize_pem()))
            .domain_name("localhost");
        Ok(Self { tls })
    }

    /// The request of a device that has what it should have.
    async fn settled_request(&self, endpoint: &str) -> anyhow::Result<CheckInRequest> {
        let mut client = DevicePolicyServiceClient::new(connect(endpoint, self).await?);
        let first = CheckInRequest { sequence: 1, session_id: vec![7; 16], ..CheckInRequest::default() };
        let reply = client.check_in(first.clone()).await?.into_inner();
        let Some(Outcome::Policy(policy)) = reply.outcome else {
            anyhow::bail!("the first check-in brought no policy")
        };
        let document = PolicyDocument::decode(policy.payload)?;
        let (etag, facts_digest) = (document.etag, vec![2; 32]);
        let settled = CheckInRequest {
            sequence: 100,
            applied_etag: etag.clone(),
            received_etag: etag,
            facts_digest,
            report_digest: vec![3; 32],
            apply_state: 1,
            applied_version: document.version,
            ..first
        };
        let again = client.check_in(settled.clone()).await?.into_inner();
        anyhow::ensure!(
            matches!(again.outcome, Some(Outcome::NotModified(_))),
            "the second check-in was not settled"
        );
        Ok(settled)
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

async fn connect(endpoint: &str, device: &Device) -> anyhow::Result<Channel> {
    let endpoint =
        Endpoint::from_shared(endpoint.to_owned())?.tcp_nodelay(true).tls_config(device.tls.clone())?;
    endpoint.connect().await.context("connecting")
}

async fn connect_all(endpoint: &str, device: &Device) -> anyhow::Result<Vec<Channel>> {
    try_join_all((0..CONNECTIONS).map(|_| connect(endpoint, device))).await
}

async fn calls_per_second(channels: &[Channel], request: &CheckInRequest) -> anyhow::Result<f64> {
    let start = Instant::now();
    let loops = channels.iter().map(|channel| {
        let mut client = DevicePolicyServiceClient::new(channel.clone());
        let request = request.clone();
        #[expect(clippy::disallowed_methods, reason = "awaited below")]
        tokio::spawn(async move {
            let mut calls = 0_usize;
            while start.elapsed() < ROUND {
                client.check_in(request.clone()).await?;
                calls += 1;
            }
            Ok::<_, Status>(calls)
        })
    });
    let mut calls = 0;
    for outcome in try_join_all(loops).await? {
        calls += outcome?;
    }
    Ok(rate(calls, start.elapsed()))
}

/// Answers every check-in with the same reply.
struct Echo(CheckInResponse);

#[tonic::async_trait]
impl DevicePolicyService for Echo {
    async fn check_in(&self, _: Request<CheckInRequest>) -> Result<Response<CheckInResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    type WatchStream = tokio_stream::Empty<Result<WatchResponse, Status>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

async fn serve_echo(data_dir: &Path) -> anyhow::Result<SocketAddr> {
    let pki = data_dir.join("pki");
    let identity =
        Identity::from_pem(std::fs::read(pki.join("policy.pem"))?, std::fs::read(pki.join("policy.key"))?);
    let tls = ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(Certificate::from_pem(std::fs::read(pki.join("ca.pem"))?));
    let reply = CheckInResponse {
        outcome: Some(Outcome::NotModified(NotModified {})),
        next_check_in: Some(convert::duration(Duration::from_secs(90 * 60 + 17))),
        ..CheckInResponse::default()
    };
    let incoming =
        tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let server = Server::builder()
        .tls_config(tls)?
        .add_service(DevicePolicyServiceServer::new(Echo(reply)))
        .serve_with_incoming(incoming);
    #[expect(clippy::disallowed_methods, reason = "serves until the program ends")]
    tokio::spawn(server);
    Ok(address)
}
