//! A server of one small service, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_pki::{Csr, Identity, InitOptions, LocalTrust, SpiffeId, csr};
use muster_proto::enroll::v1 as enroll;
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::device_report_service_server::{
    DeviceReportService, DeviceReportServiceServer,
};
use muster_proto::report::v1::report_service_server::{ReportService, ReportServiceServer};
use muster_runtime::server::{self, ServerOptions};
use muster_runtime::{Metrics, Readiness, ServiceParts, TaskGroup, caller, position};
use muster_types::{Clock, DeviceId, FixedClock, RequestId, Service, SystemClock, TenantId};
use tempfile::TempDir;
use tokio::sync::Notify;
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
}

/// A server that runs, with its folder of trust.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) trust: LocalTrust,
    pub(crate) tasks: TaskGroup,
    pub(crate) metrics: Metrics,
    pub(crate) probe: Probe,
    pub(crate) clock: Arc<FixedClock>,
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
    let (dir, trust) = mk_trust();
    let (tasks, metrics, probe) = (TaskGroup::new(), Metrics::default(), Probe::default());
    let clock = Arc::new(FixedClock::at(SystemClock.now()));
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = bound.local_addr();
    let reports = DeviceReportServiceServer::new(probe.clone()).max_decoding_message_size(STATUS_BYTES_MAX);
    let routes = Routes::new(reports).add_service(ReportServiceServer::new(probe.clone()));
    let part = ServiceParts { service: Service::Report, routes, readiness: Readiness::always() };
    let mut options = ServerOptions::new(&trust, Service::Report, clock.clone()).unwrap();
    options.connections_max = connections_max;
    server::start(bound, vec![part], options, &tasks, &metrics).unwrap();
    Server { address, trust, tasks, metrics, probe, clock, _dir: dir }
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
    let now = SystemClock.now();
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
