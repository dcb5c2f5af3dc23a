//! From a device's report to an admin's numbers.

use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::State as _;
use muster_eventlog::kv::MemoryKv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project;
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::device_report_service_server::DeviceReportService as _;
use muster_proto::report::v1::report_service_server::ReportService as _;
use muster_report::commands::Commands;
use muster_report::domain::device_status::DeviceStatus;
use muster_report::grpc::{Exports, Grpc};
use muster_report::metrics::ReportMetrics;
use muster_report::projection::{Sightings, Standings};
use muster_report::queries::{Past, Queries};
use muster_runtime::position::{MIN_POSITION, POSITION};
use muster_runtime::{Caller, Metrics, TaskGroup};
use muster_types::{Aggregate, DeviceId, FixedClock, ResourceName, StreamId, TenantId, Timestamp, Version};
use tonic::{Request, Response, Status};

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;

pub(crate) struct Service {
    pub(crate) grpc: Grpc,
    pub(crate) log: SharedLog,
    tasks: TaskGroup,
}

impl Service {
    pub(crate) fn start() -> Self {
        let log: SharedLog = Arc::new(MemoryLog::default());
        let tasks = TaskGroup::new();
        let stopping = tasks.stopping().clone();
        let stopping = async move { stopping.cancelled().await };
        let kv = Arc::new(MemoryKv::default());
        let (standings, folding) = project::start(log.clone(), kv.clone(), Standings::default, stopping);
        tasks.spawn("standings", folding);
        let stopping = tasks.stopping().clone().cancelled_owned();
        let (sightings, folding) = project::start(log.clone(), kv, Sightings::default, stopping);
        tasks.spawn("sightings", folding);
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_000_000)));
        let moments = muster_runtime::moments(&log, Arc::new(MemoryKv::default()), clock.clone(), &tasks);
        let grpc = Grpc {
            tenant: TENANT,
            commands: Arc::new(Commands::new(TENANT, log.clone(), clock, sightings.clone())),
            queries: Queries::new(standings),
            sightings,
            past: Past::new(log.clone(), moments),
            exports: Exports::until(tasks.stopping().clone()),
            metrics: ReportMetrics::register(&Metrics::default()),
        };
        Self { grpc, log, tasks }
    }

    pub(crate) async fn report(
        &self,
        status: pb::DeviceStatus,
    ) -> Result<Response<pb::ReportStatusResponse>, Status> {
        let mut request = Request::new(pb::ReportStatusRequest { status: Some(status) });
        request.extensions_mut().insert(Caller::Device { tenant: TENANT, device: device() });
        self.grpc.report_status(request).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

pub(crate) fn device() -> DeviceId {
    "0190f2c4-7d5e-7cc1-8a54-6b1f0c2d3e4f".parse().unwrap()
}

pub(crate) fn as_admin<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::Admin { name: "admin".into() });
    request
}

pub(crate) fn status(state: pb::SettingState) -> pb::DeviceStatus {
    let setting = pb::SettingStatus {
        id: "linux-antivirus/enforcement_level".to_owned(),
        state: state.into(),
        ..Default::default()
    };
    pb::DeviceStatus {
        policy_etag: vec![1; 32],
        policy_version: 1,
        settings: vec![setting],
        ..Default::default()
    }
}

pub(crate) fn fault<T>(outcome: Result<T, Status>) -> Fault {
    Fault::from_status(&outcome.map(|_| ()).unwrap_err())
}

/// The code of a refusal, and the first field that is wrong.
pub(crate) fn refusal<T>(outcome: Result<T, Status>) -> (ErrorCode, String) {
    let Fault { code, fields, .. } = fault(outcome);
    (code, fields.into_iter().next().map(|field| field.field).unwrap_or_default())
}

#[tokio::test]
async fn what_a_device_says_is_what_an_admin_reads() {
    let service = Service::start();
    let reply = service.report(status(pb::SettingState::Succeeded)).await.unwrap();
    let name = ResourceName::Device(TENANT, device()).to_string();
    let mut question = as_admin(pb::GetDeviceReportRequest { device: name.clone(), ..Default::default() });
    let position = reply.metadata().get(POSITION).unwrap().clone();
    question.metadata_mut().insert(MIN_POSITION, position);
    let report = service.grpc.get_device_report(question).await.unwrap().into_inner();
    assert_eq!(report.device, name);
    assert_eq!(report.status, Some(status(pb::SettingState::Succeeded)));
    // Nobody said yet what it should have.
    assert_eq!(report.check_in_status(), pb::CheckInStatus::Pending);
    assert_eq!(report.position, "report:1");
    assert_eq!(report.report_time.map(|time| time.seconds), Some(1));
}

#[tokio::test]
async fn the_same_status_again_makes_no_event() {
    let service = Service::start();
    let first = service.report(status(pb::SettingState::Pending)).await.unwrap();
    let again = service.report(status(pb::SettingState::Pending)).await.unwrap();
    assert_eq!(again.get_ref(), first.get_ref());
    assert!(again.metadata().get(POSITION).is_none());
    let other = service.report(status(pb::SettingState::Succeeded)).await.unwrap();
    assert_ne!(other.get_ref(), first.get_ref());
    let stream = StreamId::new(TENANT, Aggregate::DeviceStatus, device().uuid());
    let events = service.log.read(stream, Version::NONE).await.unwrap();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| DeviceStatus::decode(event).unwrap().is_some()));
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let service = Service::start();
    let mut unsorted = status(pb::SettingState::Error);
    unsorted.settings.push(unsorted.settings[0].clone());
    assert_eq!(fault(service.report(unsorted).await).code, ErrorCode::ReportInvalid);
    assert_eq!(fault(service.report(pb::DeviceStatus::default()).await).code, ErrorCode::ReportInvalid);
    let nobody = Request::new(pb::ReportStatusRequest { status: None });
    assert_eq!(fault(service.grpc.report_status(nobody).await).code, ErrorCode::CertificateRequired);
    let name = ResourceName::Device(TENANT, device()).to_string();
    let question = pb::GetDeviceReportRequest { device: name.clone(), ..Default::default() };
    assert_eq!(
        fault(service.grpc.get_device_report(Request::new(question.clone())).await).code,
        ErrorCode::AdminTokenInvalid
    );
    assert_eq!(
        fault(service.grpc.get_device_report(as_admin(question)).await).code,
        ErrorCode::DeviceUnknown
    );
    let policy = name.replace("devices", "policies");
    let question = as_admin(pb::GetPolicyReportRequest { policy });
    assert_eq!(fault(service.grpc.get_policy_report(question).await).code, ErrorCode::PolicyUnknown);
    let question = as_admin(pb::GetPolicyReportRequest { policy: name });
    assert_eq!(fault(service.grpc.get_policy_report(question).await).code, ErrorCode::ArgumentInvalid);
}
