//! A server with identity on a free port, and clients of it.

use std::sync::Arc;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Delivery;
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_identity::Config;
use muster_pki::{InitOptions, LocalTrust, csr};
use muster_proto::identity::v1 as pb;
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Deps, Metrics, TaskGroup};
use muster_types::{Clock as _, DeviceId, ResourceName, Service, SystemClock, TenantId};
use rcgen::KeyPair;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const PARENT: &str = "tenants/default";

pub(crate) struct TestServer {
    log: SharedLog,
    endpoint: String,
    trust: LocalTrust,
    _dir: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let options = InitOptions::local(SystemClock.now());
        let trust = LocalTrust::init(dir.path(), &options).expect("a folder of trust");
        let bound = server::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let endpoint = format!("https://{}", bound.local_addr());
        let tasks = TaskGroup::new();
        let deps = Deps {
            log: Arc::new(MemoryLog::default()),
            kv: Arc::new(MemoryKv::default()),
            clock: Arc::new(SystemClock),
            tasks: tasks.clone(),
            metrics: Metrics::default(),
            tenant: TenantId::DEFAULT,
            trust: trust.clone(),
        };
        let identity = muster_identity::build(Config::default(), deps.clone()).await.expect("it is built");
        let options =
            ServerOptions::new(&trust, Service::Identity, Arc::new(SystemClock)).expect("TLS settings");
        server::start(bound, vec![identity], options, &tasks, &deps.metrics).expect("the server starts");
        Self { log: deps.log, endpoint, trust, _dir: dir }
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
        let established = self.service(Service::Enroll).trust().establish_trust(wish(number)).await;
        established.expect("trusted");
        device_name(number)
    }

    /// Short names of identity's events so far.
    pub(crate) async fn events(&self) -> Vec<String> {
        let mut subscription = self.log.subscribe(Service::Identity, 0).await.expect("a log");
        let mut kinds = Vec::new();
        while let Some(Delivery::Events(events)) = subscription.next().await.expect("a log") {
            kinds.extend(events.iter().map(|event| event.kind.short().to_owned()));
        }
        kinds
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
