//! A server of one small service, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::Views;
use muster_eventlog::{Append, AppendError, Appended, Envelope, EventLog, ReadError, Subscription};
use muster_pki::{Csr, Identity, InitOptions, LocalTrust, SpiffeId, csr};
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as policy;
use muster_proto::policy::v1::device_policy_service_server::{
    DevicePolicyService, DevicePolicyServiceServer,
};
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::device_report_service_server::{
    DeviceReportService, DeviceReportServiceServer,
};
use muster_proto::report::v1::report_service_server::{ReportService, ReportServiceServer};
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Deps, Metrics, Readiness, Revocations, ServiceParts, TaskGroup, caller, position};
use muster_types::{
    Clock, DeviceId, FixedClock, RequestId, Service, StreamId, SystemClock, TenantId, Timestamp, Version,
};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// Largest status the service takes, in bytes.
pub(crate) const STATUS_BYTES_MAX: usize = 64 * 1024;

/// Answers devices with who they are, and admins with the position they want. A status with a refused reason of
/// `wait` is answered once `release` is notified.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) entered: Arc<Notify>,
    pub(crate) release: Arc<Notify>,
    pub(crate) refused: Arc<AtomicU32>,
}

#[tonic::async_trait]
impl DeviceReportService for Probe {
    async fn report_status(
        &self,
        request: Request<pb::ReportStatusRequest>,
    ) -> Result<Response<pb::ReportStatusResponse>, Status> {
        let (_, device) = caller::device(&request)?;
        let wait = request.into_inner().status.is_some_and(|status| status.refused_reason == "wait");
        if wait {
            self.entered.notify_one();
            self.release.notified().await;
        }
        let report_digest = device.as_bytes().to_vec();
        let mut response = Response::new(pb::ReportStatusResponse { report_digest });
        position::stamp(&mut response, Service::Report, Some(7));
        Ok(response)
    }
}

fn nothing_there() -> Status {
    Status::unimplemented("the probe has no such report")
}

#[tonic::async_trait]
impl ReportService for Probe {
    async fn get_device_report(
        &self,
        request: Request<pb::GetDeviceReportRequest>,
    ) -> Result<Response<pb::DeviceReport>, Status> {
        caller::admin(&request)?;
        let wanted = position::wanted(&request)?;
        Ok(Response::new(pb::DeviceReport { device: wanted.to_string(), ..pb::DeviceReport::default() }))
    }

    async fn get_policy_report(
        &self,
        _: Request<pb::GetPolicyReportRequest>,
    ) -> Result<Response<pb::PolicyReport>, Status> {
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(Fault::new(ErrorCode::LogConflict, "another writer was first").into())
    }

    async fn list_policy_devices(
        &self,
        _: Request<pb::ListPolicyDevicesRequest>,
    ) -> Result<Response<pb::ListPolicyDevicesResponse>, Status> {
        Err(nothing_there())
    }

    async fn get_policy_settings(
        &self,
        _: Request<pb::GetPolicySettingsRequest>,
    ) -> Result<Response<pb::PolicySettings>, Status> {
        Err(nothing_there())
    }

    async fn get_policy_convergence(
        &self,
        _: Request<pb::GetPolicyConvergenceRequest>,
    ) -> Result<Response<pb::PolicyConvergence>, Status> {
        Err(nothing_there())
    }

    async fn get_fleet_report(
        &self,
        _: Request<pb::GetFleetReportRequest>,
    ) -> Result<Response<pb::FleetReport>, Status> {
        Err(nothing_there())
    }

    async fn get_report_settings(
        &self,
        _: Request<pb::GetReportSettingsRequest>,
    ) -> Result<Response<pb::ReportSettings>, Status> {
        Err(nothing_there())
    }

    async fn update_report_settings(
        &self,
        _: Request<pb::UpdateReportSettingsRequest>,
    ) -> Result<Response<pb::ReportSettings>, Status> {
        Err(nothing_there())
    }

    type ExportPolicyDevicesStream = BoxStream<'static, Result<pb::ExportPolicyDevicesResponse, Status>>;

    async fn export_policy_devices(
        &self,
        _: Request<pb::ExportPolicyDevicesRequest>,
    ) -> Result<Response<Self::ExportPolicyDevicesStream>, Status> {
        Err(nothing_there())
    }
}

#[tonic::async_trait]
impl DevicePolicyService for Probe {
    async fn check_in(
        &self,
        _: Request<policy::CheckInRequest>,
    ) -> Result<Response<policy::CheckInResponse>, Status> {
        Err(Status::unimplemented("the probe has no policy"))
    }

    type WatchStream = BoxStream<'static, Result<policy::WatchResponse, Status>>;

    /// Hints once and stays open.
    async fn watch(
        &self,
        request: Request<policy::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        caller::device(&request)?;
        let hint = stream::iter([Ok(policy::WatchResponse::default())]);
        Ok(Response::new(hint.chain(stream::pending()).boxed()))
    }
}

/// A log that cannot be followed before its gate gives a permit for each reader.
#[derive(Debug)]
struct GatedLog {
    inner: MemoryLog,
    gate: Arc<Semaphore>,
}

impl EventLog for GatedLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.inner.append(appends)
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        self.inner.read(stream, after)
    }

    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        Box::pin(async move {
            self.gate.acquire().await.unwrap().forget();
            self.inner.subscribe(service, after).await
        })
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        self.inner.head(service)
    }
}

/// A server that runs, with its folder of trust.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) trust: LocalTrust,
    pub(crate) tasks: TaskGroup,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Probe,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) log: SharedLog,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) revocations: Revocations,
    _dir: TempDir,
}

/// A new folder of trust.
pub(crate) fn mk_trust() -> (TempDir, LocalTrust) {
    let dir = tempfile::tempdir().unwrap();
    let trust = LocalTrust::init(&dir.path().join("pki"), &InitOptions::local(SystemClock.now())).unwrap();
    (dir, trust)
}

/// Starts a server on a free port, with at most this many connections.
pub(crate) async fn mk_server_for(connections_max: usize) -> Server {
    let server = mk_server_gated(connections_max, 1).await;
    while !server.revocations.caught_up() {
        tokio::task::yield_now().await;
    }
    server
}

/// Starts a server that does not know what was revoked before its gate opens.
pub(crate) async fn mk_server_behind() -> Server {
    mk_server_gated(100, 0).await
}

async fn mk_server_gated(connections_max: usize, permits: usize) -> Server {
    let (dir, trust) = mk_trust();
    let (tasks, metrics, probe) = (TaskGroup::new(), Metrics::default(), Probe::default());
    let clock = Arc::new(FixedClock::at(SystemClock.now()));
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.local_addr();
    let reports = DeviceReportServiceServer::new(probe.clone()).max_decoding_message_size(STATUS_BYTES_MAX);
    let routes = Routes::new(reports)
        .add_service(ReportServiceServer::new(probe.clone()))
        .add_service(DevicePolicyServiceServer::new(probe.clone()));
    let gate = Arc::new(Semaphore::new(permits));
    let log: SharedLog = Arc::new(GatedLog { inner: MemoryLog::default(), gate: gate.clone() });
    // Of a log of its own, so that it takes no permit of the gate.
    let ungated: SharedLog = Arc::new(MemoryLog::default());
    let moments = muster_runtime::moments(&ungated, Arc::new(MemoryKv::default()), clock.clone(), &tasks);
    let revocations = Revocations::start(&Deps {
        moments,
        log: log.clone(),
        kv: Arc::new(MemoryKv::default()),
        clock: clock.clone(),
        tasks: tasks.clone(),
        metrics: metrics.clone(),
        views: Views::default(),
        tenant: TenantId::DEFAULT,
        trust: trust.clone(),
    });
    let part = ServiceParts { service: Service::Report, routes, readiness: Readiness::always() };
    let mut options = ServerOptions::new(&trust, Service::Report, clock.clone()).unwrap();
    options.connections_max = connections_max;
    options.revocations = Some(revocations.clone());
    server::start(bound, vec![part], options, &tasks, &metrics).unwrap();
    Server { address, trust, tasks, metrics, probe, clock, log, gate, revocations, _dir: dir }
}

/// Starts a server on a free port.
pub(crate) async fn mk_server() -> Server {
    mk_server_for(100).await
}

impl Server {
    /// How to call it without showing anything.
    pub(crate) fn options(&self) -> ConnectOptions {
        ConnectOptions::new(format!("https://{}", self.address), self.trust.ca_certs().to_vec())
    }

    /// A client that shows nothing.
    pub(crate) fn anonymous(&self) -> Client {
        Client::connect(self.options()).unwrap()
    }

    /// A client that shows an identity.
    pub(crate) fn as_peer(&self, identity: Identity) -> Client {
        Client::connect(self.options().with_identity(identity)).unwrap()
    }

    /// A client with the admin token.
    pub(crate) fn as_admin(&self) -> Client {
        Client::connect(self.options().with_bearer(self.trust.admin_token().unwrap().clone())).unwrap()
    }

    /// A client of a new device.
    pub(crate) fn as_device(&self) -> (DeviceId, Client) {
        let device = mk_device();
        (device, self.as_peer(mk_identity(&self.trust, device)))
    }

    /// Stops it and waits until it is gone.
    pub(crate) async fn stop(&self) {
        self.tasks.shutdown(Duration::from_secs(10)).await.unwrap();
    }
}

/// A new device's id.
pub(crate) fn mk_device() -> DeviceId {
    DeviceId::from_uuid(RequestId::generate().uuid())
}

/// A certificate for a device, for a week from now.
pub(crate) fn mk_identity(trust: &LocalTrust, device: DeviceId) -> Identity {
    mk_identity_at(trust, device, SystemClock.now())
}

/// A certificate for a device, for a week from then.
pub(crate) fn mk_identity_at(trust: &LocalTrust, device: DeviceId, now: Timestamp) -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let csr: Csr = csr::parse(&csr::create(&key).unwrap()).unwrap();
    let id = SpiffeId::device(trust.trust_domain().clone(), TenantId::DEFAULT, device);
    let week = Duration::from_secs(7 * 24 * 3600);
    let issued = trust.authority().unwrap().issue_device(&csr, &id, now, now.plus(week)).unwrap();
    Identity::from_der(vec![issued.certificate_der], key.serialize_der())
}

/// A device's call, answered with the id under which it is known.
pub(crate) async fn report(client: &Client, refused_reason: &str) -> Result<Vec<u8>, Fault> {
    let status = pb::DeviceStatus { refused_reason: refused_reason.to_owned(), ..Default::default() };
    let request = pb::ReportStatusRequest { status: Some(status) };
    let answer = client.device_reports().report_status(request).await;
    answer.map(|answer| answer.into_inner().report_digest).map_err(|status| Fault::from_status(&status))
}

/// An admin's call, answered with the position it wants.
pub(crate) async fn read(client: &Client) -> Result<String, Fault> {
    let answer = client.reports().get_device_report(pb::GetDeviceReportRequest::default()).await;
    answer.map(|answer| answer.into_inner().device).map_err(|status| Fault::from_status(&status))
}

/// A call that the server has no service for.
pub(crate) async fn unserved(client: &Client) -> Status {
    client.enrollment_admin().get_device(enroll::GetDeviceRequest::default()).await.unwrap_err()
}
