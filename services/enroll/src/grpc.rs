//! The gRPC services: decode, one call, encode.

mod admin;
mod convert;
mod device;
mod identity;
mod page;
pub mod secret;

use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_proto::enroll::v1 as pb;
use muster_proto::enroll::v1::device_enrollment_service_server::DeviceEnrollmentServiceServer;
use muster_proto::enroll::v1::enrollment_admin_service_server::EnrollmentAdminServiceServer;
use muster_runtime::position;
use muster_types::{Clock, DeviceId, Service, TenantId};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::admission::Admission;
use crate::commands::Commands;
use crate::error::status;
use crate::metrics::EnrollMetrics;
use crate::queries::Queries;

pub use identity::IdentityClient;

/// Largest request of a device, in bytes.
const DEVICE_REQUEST_BYTES_MAX: usize = 128 * 1024;

/// What answers calls.
pub struct Grpc {
    /// The tenant served.
    pub tenant: TenantId,
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// Where trust is established.
    pub identity: IdentityClient,
    /// What every device is told when it comes in.
    pub welcome: Welcome,
    /// How many devices come in at once.
    pub admission: Admission,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Numbers.
    pub metrics: EnrollMetrics,
}

/// What every device is told when it comes in.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// Where it finds the services.
    pub endpoints: pb::Endpoints,
    /// Keys that may sign policy.
    pub policy_keys: Vec<pb::PolicyVerificationKey>,
}

impl Grpc {
    /// The services, for a server.
    #[must_use]
    pub fn routes(self) -> Routes {
        let this = Arc::new(self);
        let devices = DeviceEnrollmentServiceServer::from_arc(this.clone())
            .max_decoding_message_size(DEVICE_REQUEST_BYTES_MAX);
        Routes::new(devices).add_service(EnrollmentAdminServiceServer::from_arc(this))
    }

    /// Tells the caller what a reader must have seen to see this.
    async fn stamped<T>(
        &self,
        mut response: Response<T>,
        written: Option<u64>,
    ) -> Result<Response<T>, Status> {
        let position = self.commands.seen_at(written).await.map_err(status)?;
        position::stamp(&mut response, Service::Enroll, Some(position));
        Ok(response)
    }

    /// Waits until the views show what the caller wants to see.
    async fn settled<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = position::wanted(request)?;
        Ok(position::settle(self.queries.reach(&wanted)).await?)
    }

    /// A device as it is shown.
    fn shown(&self, id: DeviceId) -> Result<pb::Device, Fault> {
        let unknown = || Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {id}"));
        let device = self.queries.device(self.tenant, id).ok_or_else(unknown)?;
        Ok(convert::device::device(device, self.queries.scope(self.tenant).0.legacy_labels))
    }
}
