//! A server with enroll and identity on a free port, and clients of it.

use std::sync::Arc;

use muster_client::{Client, ConnectOptions};
use muster_enroll::Config;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Delivery;
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_pki::{Identity, InitOptions, LocalTrust, csr};
use muster_proto::enroll::v1 as pb;
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Deps, Metrics, TaskGroup};
use muster_types::{Clock as _, FixedClock, Positions, Service, SystemClock, TenantId};
use rcgen::KeyPair;
use tempfile::TempDir;

pub(crate) const PARENT: &str = "tenants/default";

pub(crate) struct TestServer {
    pub(crate) log: SharedLog,
    pub(crate) clock: Arc<FixedClock>,
    endpoint: String,
    trust: LocalTrust,
    _dir: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_on(Arc::new(MemoryLog::default()), None).await
    }

    /// Starts on a log, with identity elsewhere if that is said.
    pub(crate) async fn start_on(log: SharedLog, identity_url: Option<String>) -> Self {
        Self::start_as(log, Config { identity_url, ..Config::default() }).await
    }

    /// Starts on a log with other options.
    pub(crate) async fn start_as(log: SharedLog, config: Config) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let clock = Arc::new(FixedClock::at(SystemClock.now()));
        let trust =
            LocalTrust::init(dir.path(), &InitOptions::local(clock.now())).expect("a folder of trust");
        let bound = server::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let endpoint = format!("https://{}", bound.local_addr());
        let tasks = TaskGroup::new();
        let moments = muster_runtime::moments(&log, Arc::new(MemoryKv::default()), clock.clone(), &tasks);
        let deps = Deps {
            moments,
            log,
            kv: Arc::new(MemoryKv::default()),
            clock: clock.clone(),
            tasks: tasks.clone(),
            metrics: Metrics::default(),
            views: Views::default(),
            tenant: TenantId::DEFAULT,
            trust: trust.clone(),
        };
        let enroll = muster_enroll::build(config.served_at(&endpoint), deps.clone()).await;
        let identity_deps = Deps { kv: Arc::new(MemoryKv::default()), ..deps.clone() };
        let identity = muster_identity::build(muster_identity::Config::default(), identity_deps).await;
        let parts = vec![enroll.expect("enroll is built"), identity.expect("identity is built")];
        let options = ServerOptions::new(&trust, Service::Enroll, clock.clone()).expect("TLS settings");
        server::start(bound, parts, options, &tasks, &deps.metrics).expect("the server starts");
        Self { log: deps.log, clock, endpoint, trust, _dir: dir }
    }

    pub(crate) fn anonymous(&self) -> Client {
        self.connect(self.options())
    }

    pub(crate) fn admin(&self) -> Client {
        let token = self.trust.admin_token().expect("an admin token").clone();
        self.connect(self.options().with_bearer(token))
    }

    pub(crate) fn device(&self, device: &TestDevice, onboarded: &pb::OnboardResponse) -> Client {
        let chain = onboarded.certificate_chain_der.clone();
        let identity = Identity::from_der(chain, device.key.serialize_der());
        self.connect(self.options().with_identity(identity))
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(&self.endpoint, self.trust.ca_certs().to_vec())
    }

    fn connect(&self, options: ConnectOptions) -> Client {
        Client::connect(options).expect("a client")
    }

    /// Makes a token for `uses_max` devices that works for a minute.
    pub(crate) async fn token(&self, uses_max: u32) -> pb::CreateOnboardingTokenResponse {
        let request = pb::CreateOnboardingTokenRequest {
            parent: PARENT.into(),
            ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            uses_max,
            ..Default::default()
        };
        let made = self.admin().enrollment_admin().create_onboarding_token(request).await;
        made.expect("a token").into_inner()
    }

    pub(crate) async fn onboard(
        &self,
        token: &str,
        device: &TestDevice,
    ) -> Result<pb::OnboardResponse, Fault> {
        let reply = self.anonymous().device_enrollment().onboard(device.wish(token)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
    }

    /// Where all logs end now.
    pub(crate) async fn written(&self) -> Positions {
        let mut written = Positions::ZERO;
        for service in Service::ALL {
            written.advance(service, self.log.head(service).await.expect("a log"));
        }
        written
    }

    /// A device as of all that was written so far.
    pub(crate) async fn shown(&self, name: &str) -> pb::Device {
        let admin = self.admin();
        admin.see(&self.written().await);
        let request = pb::GetDeviceRequest { name: name.to_owned() };
        admin.enrollment_admin().get_device(request).await.expect("shown").into_inner()
    }

    /// Short names of enroll's events so far.
    pub(crate) async fn events(&self) -> Vec<String> {
        let mut subscription = self.log.subscribe(Service::Enroll, 0).await.expect("a log");
        let mut kinds = Vec::new();
        while let Some(Delivery::Events(events)) = subscription.next().await.expect("a log") {
            kinds.extend(events.iter().map(|event| event.kind.short().to_owned()));
        }
        kinds
    }
}

pub(crate) struct TestDevice {
    pub(crate) key: KeyPair,
    pub(crate) facts: pb::DeviceFacts,
}

impl TestDevice {
    pub(crate) fn new(hardware: u8) -> Self {
        let facts = pb::DeviceFacts {
            platform: pb::Platform::Linux.into(),
            hostname: format!("web-{hardware}"),
            os_id: "debian".into(),
            hardware_digest: vec![hardware; 32],
            ..Default::default()
        };
        Self { key: KeyPair::generate().expect("a key"), facts }
    }

    pub(crate) fn wish(&self, token: &str) -> pb::OnboardRequest {
        let csr_der = csr::create(&self.key).expect("a request");
        pb::OnboardRequest {
            token: token.to_owned(),
            csr_der,
            facts: Some(self.facts.clone()),
            ..Default::default()
        }
    }
}

pub(crate) fn code<T>(result: Result<T, tonic::Status>) -> Option<ErrorCode> {
    result.err().map(|status| Fault::from_status(&status).code)
}
