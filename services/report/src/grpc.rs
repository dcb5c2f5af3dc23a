//! The gRPC services: decode, one call, encode.

mod bounded;
mod convert;
mod export;
mod page;
mod reads;
mod settings;

use std::sync::Arc;

use muster_errors::Fault;
use muster_eventlog::project::Projected;
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::device_report_service_server::{
    DeviceReportService, DeviceReportServiceServer,
};
use muster_proto::report::v1::report_service_server::{ReportService, ReportServiceServer};
use muster_runtime::{caller, position};
use muster_types::{Service, TenantId};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::commands::Commands;
use crate::error::status;
use crate::metrics::ReportMetrics;
use crate::projection::Sightings;
use crate::queries::{Past, Queries};
use bounded::Bounded;
use export::Messages;
pub use export::{EXPORTS_MAX, Exports};

/// Largest request of a device, in bytes.
const DEVICE_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What answers calls. Cheap to clone.
#[derive(Clone)]
pub struct Grpc {
    /// The tenant served.
    pub tenant: TenantId,
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// When devices were heard of, and when they count as stale or drifting.
    pub sightings: Projected<Sightings>,
    /// The only reader of past moments.
    pub past: Past,
    /// Exports under way.
    pub exports: Exports,
    /// Numbers.
    pub metrics: ReportMetrics,
}

impl Grpc {
    /// The services, for a server.
    #[must_use]
    pub fn routes(self) -> Routes {
        let this = Arc::new(self);
        let devices = DeviceReportServiceServer::from_arc(this.clone())
            .max_decoding_message_size(DEVICE_REQUEST_BYTES_MAX);
        Routes::new(Bounded(devices)).add_service(ReportServiceServer::from_arc(this))
    }

    /// Waits until the view shows what the caller wants to see.
    async fn settled<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        Ok(position::settle(self.queries.reach(&wanted)).await?)
    }

    async fn take_in(
        &self,
        request: Request<pb::ReportStatusRequest>,
    ) -> Result<Response<pb::ReportStatusResponse>, Fault> {
        let device = caller::device(&request)?;
        let said = convert::status(request.into_inner())?;
        let report_digest = said.digest().to_vec();
        let done = self.commands.report_status(device, said).await?;
        self.metrics.reported(done.position.is_some());
        let mut response = Response::new(pb::ReportStatusResponse { report_digest });
        position::stamp(&mut response, Service::Report, done.position);
        Ok(response)
    }
}

#[tonic::async_trait]
impl DeviceReportService for Grpc {
    async fn report_status(
        &self,
        request: Request<pb::ReportStatusRequest>,
    ) -> Result<Response<pb::ReportStatusResponse>, Status> {
        self.take_in(request).await.map_err(|fault| {
            self.metrics.refused(fault.code);
            status(fault)
        })
    }
}

#[tonic::async_trait]
impl ReportService for Grpc {
    async fn get_device_report(
        &self,
        request: Request<pb::GetDeviceReportRequest>,
    ) -> Result<Response<pb::DeviceReport>, Status> {
        self.device_report(request).await
    }

    async fn get_policy_report(
        &self,
        request: Request<pb::GetPolicyReportRequest>,
    ) -> Result<Response<pb::PolicyReport>, Status> {
        self.policy_report(request).await
    }

    async fn list_policy_devices(
        &self,
        request: Request<pb::ListPolicyDevicesRequest>,
    ) -> Result<Response<pb::ListPolicyDevicesResponse>, Status> {
        self.policy_devices(request).await
    }

    async fn get_policy_settings(
        &self,
        request: Request<pb::GetPolicySettingsRequest>,
    ) -> Result<Response<pb::PolicySettings>, Status> {
        self.policy_settings(request).await
    }

    async fn get_policy_convergence(
        &self,
        request: Request<pb::GetPolicyConvergenceRequest>,
    ) -> Result<Response<pb::PolicyConvergence>, Status> {
        self.policy_convergence(request).await
    }

    async fn get_fleet_report(
        &self,
        request: Request<pb::GetFleetReportRequest>,
    ) -> Result<Response<pb::FleetReport>, Status> {
        self.fleet_report(request).await
    }

    async fn get_report_settings(
        &self,
        request: Request<pb::GetReportSettingsRequest>,
    ) -> Result<Response<pb::ReportSettings>, Status> {
        self.answer_get_report_settings(request).await
    }

    async fn update_report_settings(
        &self,
        request: Request<pb::UpdateReportSettingsRequest>,
    ) -> Result<Response<pb::ReportSettings>, Status> {
        self.answer_update_report_settings(request).await
    }

    type ExportPolicyDevicesStream = Messages;

    async fn export_policy_devices(
        &self,
        request: Request<pb::ExportPolicyDevicesRequest>,
    ) -> Result<Response<Messages>, Status> {
        self.export(request).await
    }
}
