//! A server with identity on a free port, and clients of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_eventlog::{Actor, Append, Context, Delivery, Envelope, EventType, NewEvent};
use muster_identity::Config;
use muster_pki::{Identity, InitOptions, LocalTrust, csr};
use muster_proto::identity::v1 as pb;
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Deps, Metrics, Revocations, TaskGroup};
use muster_types::{
    Clock as _, DeviceId, EventId, ResourceName, Service, StreamId, SystemClock, TenantId, Version,
};
use prost::Message;
use rcgen::KeyPair;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const PARENT: &str = "tenants/default";

/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(10);

pub(crate) struct TestServer {
    pub(crate) log: SharedLog,
    pub(crate) trust: LocalTrust,
    pub(crate) metrics: Metrics,
    endpoint: String,
    _dir: TempDir,
}

/// A device with its key and its certificate.
pub(crate) struct TestDevice {
    /// Resource name of the device.
    pub(crate) name: String,
    pub(crate) key: KeyPair,
    pub(crate) chain_der: Vec<Vec<u8>>,
}

impl TestDevice {
    pub(crate) fn id(&self) -> DeviceId {
        self.name.rsplit('/').next().expect("a name has parts").parse().expect("a device id")
    }

    pub(crate) fn registration(&self) -> String {
        ResourceName::Registration(TenantId::DEFAULT, self.id()).to_string()
    }

    fn identity(&self) -> Identity {
        Identity::from_der(self.chain_der.clone(), self.key.serialized_der().to_vec())
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::on(Arc::new(MemoryLog::default())).await
    }

    /// A server on a log that may hold something.
    pub(crate) async fn on(log: SharedLog) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let options = InitOptions::local(SystemClock.now());
        let trust = LocalTrust::init(dir.path(), &options).expect("a folder of trust");
        let bound = server::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let endpoint = format!("https://{}", bound.local_addr());
        let deps = deps(log, &trust);
        let identity = muster_identity::build(Config::default(), deps.clone()).await.expect("it is built");
        let options =
            ServerOptions::new(&trust, Service::Identity, Arc::new(SystemClock)).expect("TLS settings");
        let options = ServerOptions { revocations: Some(Revocations::start(&deps)), ..options };
        server::start(bound, vec![identity], options, &deps.tasks, &deps.metrics).expect("the server starts");
        Self { log: deps.log, trust, metrics: deps.metrics, endpoint, _dir: dir }
    }

    /// A client with the certificate of a device.
    pub(crate) fn device(&self, device: &TestDevice) -> Client {
        self.connect(self.options().with_identity(device.identity()))
    }

    pub(crate) fn anonymous(&self) -> Client {
        self.connect(self.options())
    }

    pub(crate) fn admin(&self) -> Client {
        let token = self.trust.admin_token().expect("an admin token").clone();
        self.connect(self.options().with_bearer(token))
    }

    pub(crate) fn service(&self, service: Service) -> Client {
        let identity = self.trust.service_identity(service).expect("a service certificate");
        self.connect(self.options().with_identity(identity))
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(&self.endpoint, self.trust.ca_certs().to_vec())
    }

    fn connect(&self, options: ConnectOptions) -> Client {
        Client::connect(options).expect("a client")
    }

    /// Has a device trusted and tells its resource name.
    pub(crate) async fn trusted(&self, number: u128) -> String {
        self.trusted_device(number).await.name
    }

    /// Has a device trusted, with a P-256 key.
    pub(crate) async fn trusted_device(&self, number: u128) -> TestDevice {
        self.trusted_by(number, KeyPair::generate().expect("a key")).await
    }

    /// Has a device trusted by its key.
    pub(crate) async fn trusted_by(&self, number: u128, key: KeyPair) -> TestDevice {
        let wish =
            pb::EstablishTrustRequest { csr_der: csr::create(&key).expect("a request"), ..wish(number) };
        let established = self.service(Service::Enroll).trust().establish_trust(wish).await;
        let chain_der = established.expect("trusted").into_inner().certificate_chain_der;
        TestDevice { name: device_name(number), key, chain_der }
    }

    /// Appends an event of another service to the log, as the next of its stream.
    pub(crate) async fn append(&self, stream: StreamId, kind: &'static str, message: &impl Message) {
        append(&self.log, stream, kind, message).await;
    }

    /// Waits until identity's log has so many events, and tells their short names.
    pub(crate) async fn events_until(&self, count: usize) -> Vec<String> {
        let enough = async {
            let mut subscription = self.log.subscribe(Service::Identity, 0).await.expect("a log");
            let mut kinds = Vec::new();
            while kinds.len() < count {
                if let Some(Delivery::Events(events)) = subscription.next().await.expect("a log") {
                    kinds.extend(events.iter().map(|event| event.kind.short().to_owned()));
                }
            }
            kinds
        };
        tokio::time::timeout(SOON, enough).await.expect("the events come in time")
    }

    /// Identity's events so far, whole.
    pub(crate) async fn envelopes(&self) -> Vec<Envelope> {
        let mut subscription = self.log.subscribe(Service::Identity, 0).await.expect("a log");
        let mut all = Vec::new();
        while let Some(Delivery::Events(events)) = subscription.next().await.expect("a log") {
            all.extend(events);
        }
        all
    }

    /// Short names of identity's events so far.
    pub(crate) async fn events(&self) -> Vec<String> {
        self.envelopes().await.iter().map(|event| event.kind.short().to_owned()).collect()
    }
}

/// Appends an event to a log, as the next of its stream.
pub(crate) async fn append(log: &SharedLog, stream: StreamId, kind: &'static str, message: &impl Message) {
    let version = Version(log.read(stream, Version::NONE).await.expect("a log").len() as u64);
    let id = muster_types::id::derive("test", &[stream.id.as_bytes(), &version.0.to_be_bytes()]);
    let append = Append {
        stream,
        expected: version,
        events: vec![NewEvent {
            id: EventId::from_uuid(id),
            kind: EventType::new(kind),
            payload: message.encode_to_vec().into(),
        }],
        context: Context {
            actor: Actor::service(stream.service()),
            time: SystemClock.now(),
            correlation_id: id,
            causation_id: None,
            traceparent: None,
        },
    };
    log.append(vec![append]).await.expect("acknowledged");
}

/// What calls are answered with, once the client has noticed that its connection was closed.
pub(crate) async fn refused<T, F>(call: impl Fn() -> F) -> Fault
where
    F: Future<Output = Result<T, tonic::Status>>,
{
    let refusal = async {
        loop {
            match fault(call().await) {
                Some(fault) if fault.code != ErrorCode::ServerUnreachable => return fault,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(SOON, refusal).await.expect("a refusal in time")
}

/// What a service is given, on a log.
pub(crate) fn deps(log: SharedLog, trust: &LocalTrust) -> Deps {
    let tasks = TaskGroup::new();
    Deps {
        moments: muster_runtime::moments(&log, Arc::new(MemoryKv::default()), Arc::new(SystemClock), &tasks),
        log,
        kv: Arc::new(MemoryKv::default()),
        clock: Arc::new(SystemClock),
        tasks,
        metrics: Metrics::default(),
        views: Views::default(),
        tenant: TenantId::DEFAULT,
        trust: trust.clone(),
    }
}

pub(crate) fn device_name(number: u128) -> String {
    let device = DeviceId::from_uuid(Uuid::from_u128(number));
    ResourceName::Device(TenantId::DEFAULT, device).to_string()
}

pub(crate) fn wish(number: u128) -> pb::EstablishTrustRequest {
    let key = KeyPair::generate().expect("a key");
    pb::EstablishTrustRequest {
        tenant: "default".into(),
        device_id: Uuid::from_u128(number).as_bytes().to_vec(),
        csr_der: csr::create(&key).expect("a request"),
        correlation_id: vec![1; 16],
        causation_id: vec![2; 16],
        ..Default::default()
    }
}

pub(crate) fn fault<T>(result: Result<T, tonic::Status>) -> Option<Fault> {
    result.err().map(|status| Fault::from_status(&status))
}

pub(crate) fn code<T>(result: Result<T, tonic::Status>) -> Option<ErrorCode> {
    fault(result).map(|fault| fault.code)
}
