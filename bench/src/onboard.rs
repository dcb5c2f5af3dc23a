//! Onboarding of new devices, 64 at once, each over its own connection, against the bare sum of its parts: a TLS
//! handshake, a signing request checked and signed by rcgen, and one append that shares its sync. Keys and requests are
//! made beforehand; client and server share the machine in both. The devices come with several tokens: the uses of one
//! token are counted one after the other, each synced before the next.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use muster_client::{Client, ConnectOptions, discover};
use muster_eventlog::EventLog as _;
use muster_eventlog::embedded::{self, EmbeddedLog};
use muster_pki::LocalTrust;
use muster_proto::enroll::v1::{CreateOnboardingTokenRequest, DeviceFacts, OnboardRequest, Platform};
use muster_runtime::TaskGroup;
use muster_types::{Service, Version};
use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair};
use rustls_pki_types::{CertificateSigningRequestDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::events;
use crate::measure::{Row, rate};

const AT_ONCE: usize = 64;
const DEVICES: usize = 2_000;
const TOKENS: usize = 32;
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Measures both in turn.
pub(crate) async fn run(rounds: usize) -> anyhow::Result<Row> {
    let dir = tempfile::tempdir_in(".")?;
    let tasks = TaskGroup::new();
    let fleet = crate::fleet::start(dir.path(), &tasks).await?;
    let product = Product::new(dir.path(), &fleet.endpoint, rounds).await?;
    let bare = Bare::new(dir.path()).await?;
    let mut pairs = Vec::new();
    for round in 0..rounds {
        let bare = bare.onboardings_per_second().await?;
        pairs.push((product.onboardings_per_second(round).await?, bare));
    }
    tasks.shutdown(DRAIN_MAX).await.ok();
    Ok(Row::of_rates("onboarding, own connection each, 64 at once", &pairs, 0.4))
}

fn signing_requests() -> anyhow::Result<Vec<Vec<u8>>> {
    (0..DEVICES).map(|_| Ok(muster_pki::csr::create(&KeyPair::generate()?)?)).collect()
}

struct Product {
    tokens: Vec<String>,
    options: ConnectOptions,
    requests: Vec<Vec<u8>>,
}

impl Product {
    async fn new(data_dir: &Path, endpoint: &str, rounds: usize) -> anyhow::Result<Self> {
        let admin = discover::admin(data_dir, Some(endpoint))?;
        let options = ConnectOptions { bearer: None, ..admin.clone() };
        let request = CreateOnboardingTokenRequest {
            parent: "tenants/default".into(),
            uses_max: u32::try_from(rounds * DEVICES)?,
            ..CreateOnboardingTokenRequest::default()
        };
        let (mut admin, mut tokens) = (Client::connect(admin)?.enrollment_admin(), Vec::new());
        for _ in 0..TOKENS {
            tokens.push(admin.create_onboarding_token(request.clone()).await?.into_inner().secret);
        }
        Ok(Self { tokens, options, requests: signing_requests()? })
    }

    async fn onboardings_per_second(&self, round: usize) -> anyhow::Result<f64> {
        let start = Instant::now();
        let onboardings = self.requests.iter().enumerate().map(|(number, csr_der)| async move {
            let request = OnboardRequest {
                token: self.tokens[number % TOKENS].clone(),
                csr_der: csr_der.clone(),
                facts: Some(facts(round, number)),
                ..OnboardRequest::default()
            };
            let client = Client::connect(self.options.clone())?;
            let reply = client.device_enrollment().onboard(request).await?.into_inner();
            anyhow::ensure!(!reply.certificate_chain_der.is_empty(), "no certificate came");
            Ok(())
        });
        stream::iter(onboardings).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(rate(DEVICES, start.elapsed()))
    }
}

fn facts(round: usize, number: usize) -> DeviceFacts {
    let mut hardware_digest = vec![0; 32];
    hardware_digest[..8].copy_from_slice(&round.to_be_bytes());
    hardware_digest[8..16].copy_from_slice(&number.to_be_bytes());
    DeviceFacts {
        platform: Platform::Linux.into(),
        hostname: format!("bench-{round}-{number}"),
        os_id: "debian".into(),
        os_version: "12".into(),
        agent_version: "0.1.0".into(),
        architecture: "x86_64".into(),
        hardware_digest,
        ..DeviceFacts::default()
    }
}

/// The parts, with nothing around them.
struct Bare {
    connector: TlsConnector,
    server: SocketAddr,
    issuer: Issuer<'static, KeyPair>,
    log: EmbeddedLog,
    next: AtomicUsize,
    requests: Vec<Vec<u8>>,
    _dir: tempfile::TempDir,
}

impl Bare {
    async fn new(data_dir: &Path) -> anyhow::Result<Self> {
        let trust = LocalTrust::open(&data_dir.join("pki"))?;
        let identity = trust.service_identity(Service::Enroll)?;
        let acceptor = TlsAcceptor::from(muster_pki::tls::server_config(trust.ca_certs(), &identity)?);
        let connector = TlsConnector::from(muster_pki::tls::client_config(trust.ca_certs(), None)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = listener.local_addr()?;
        #[expect(clippy::disallowed_methods, reason = "serves until the program ends")]
        tokio::spawn(greet(listener, acceptor));
        let dir = tempfile::tempdir_in(".")?;
        Ok(Self {
            connector,
            server,
            issuer: Issuer::new(CertificateParams::default(), KeyPair::generate()?),
            log: EmbeddedLog::open(dir.path(), embedded::Options::default())?,
            next: AtomicUsize::new(0),
            requests: signing_requests()?,
            _dir: dir,
        })
    }

    async fn onboardings_per_second(&self) -> anyhow::Result<f64> {
        let start = Instant::now();
        let onboardings = self.requests.iter().map(|csr_der| async move {
            let tcp = TcpStream::connect(self.server).await?;
            tcp.set_nodelay(true)?;
            let mut tls = self.connector.connect(ServerName::try_from("localhost")?, tcp).await?;
            tls.read_u8().await.context("the greeting")?;
            let der = CertificateSigningRequestDer::from(csr_der.as_slice());
            let certificate = CertificateSigningRequestParams::from_der(&der)?.signed_by(&self.issuer)?;
            anyhow::ensure!(!certificate.der().is_empty(), "an empty certificate");
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.log.append(vec![events::append(events::stream(number), Version::NONE, number)]).await?;
            Ok(())
        });
        stream::iter(onboardings).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(rate(DEVICES, start.elapsed()))
    }
}

/// Shakes hands, says one byte, and goes.
async fn greet(listener: TcpListener, acceptor: TlsAcceptor) {
    let acceptor = Arc::new(acceptor);
    while let Ok((tcp, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(async move {
            tcp.set_nodelay(true).ok();
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                tls.write_u8(1).await.ok();
                tls.shutdown().await.ok();
            }
        });
    }
}
