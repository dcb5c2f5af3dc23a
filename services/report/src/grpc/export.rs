//! Exports: a picture of the devices taken once, and rows made of it as fast as they are read.

use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{self, Stream};
use muster_errors::{ErrorCode, Fault};
use muster_proto::report::v1 as pb;
use muster_runtime::{caller, request};
use muster_types::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::reads::no_such_policy;
use super::{Grpc, convert};
use crate::queries::{At, Export};

/// Most exports at a time: each keeps a picture of the view as it was.
pub const EXPORTS_MAX: usize = 8;
/// Rows in a message.
const MESSAGE_ROWS_MAX: usize = 1_000;

/// The messages of an export. Made when they are asked for, so that who reads slowly holds up nobody and fills nothing.
pub(super) type Messages =
    Pin<Box<dyn Stream<Item = Result<pb::ExportPolicyDevicesResponse, Status>> + Send>>;

/// How many exports there may be, and until when. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exports {
    free: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Exports {
    /// At most [`EXPORTS_MAX`] at a time, until `stopping`.
    #[must_use]
    pub fn until(stopping: CancellationToken) -> Self {
        Self { free: Arc::new(Semaphore::new(EXPORTS_MAX)), stopping }
    }

    fn begin(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.free.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{EXPORTS_MAX} exports are under way; try again when one has ended");
            Fault::new(ErrorCode::Overloaded, message)
        })
    }
}

impl Grpc {
    pub(super) async fn export(
        &self,
        request: Request<pb::ExportPolicyDevicesRequest>,
    ) -> Result<Response<Messages>, Status> {
        caller::admin(&request)?;
        self.settled(&request).await?;
        let pb::ExportPolicyDevicesRequest { policy: name, filter } = request.into_inner();
        let id = request::policy(self.tenant, "policy", &name)?;
        let permit = self.exports.begin().inspect_err(|fault| self.metrics.refused(fault.code))?;
        let filter = self.filter((&name, id), filter.unwrap_or_default())?;
        let found = self.queries.export(self.tenant, id, &filter).ok_or_else(|| no_such_policy(&name))?;
        let writing = Writing {
            tenant: self.tenant,
            found,
            after: None,
            begun: false,
            stopping: self.exports.stopping.clone(),
            _permit: permit,
        };
        Ok(Response::new(Box::pin(stream::unfold(Some(writing), |writing| async { writing?.step() }))))
    }
}

/// An export under way.
struct Writing {
    tenant: TenantId,
    found: At<Export>,
    /// Ordinal of the last row written.
    after: Option<u32>,
    begun: bool,
    stopping: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

type Step = (Result<pb::ExportPolicyDevicesResponse, Status>, Option<Writing>);

impl Writing {
    /// The next message; none when all are written. One that the service's end cuts short says so.
    fn step(mut self) -> Option<Step> {
        if self.stopping.is_cancelled() {
            let fault = Fault::new(ErrorCode::ShuttingDown, "the service ends; export again");
            return Some((Err(fault.into()), None));
        }
        let rows: Vec<_> = self.found.answer.rows(self.after).take(MESSAGE_ROWS_MAX).collect();
        if self.begun && rows.is_empty() {
            return None;
        }
        self.after = rows.last().map(|row| row.ordinal).or(self.after);
        let devices = rows.into_iter().map(|row| convert::policy_device(self.tenant, row)).collect();
        let message = if self.begun {
            pb::ExportPolicyDevicesResponse { devices, ..Default::default() }
        } else {
            pb::ExportPolicyDevicesResponse { devices, ..self.first() }
        };
        self.begun = true;
        Some((Ok(message), Some(self)))
    }

    /// What the first message alone says.
    fn first(&self) -> pb::ExportPolicyDevicesResponse {
        let At { answer, positions, time: _ } = &self.found;
        pb::ExportPolicyDevicesResponse {
            total_size: convert::ordinals(answer.total()),
            position: positions.to_string(),
            display_name: answer.display_name.clone(),
            devices: Vec::new(),
            profile: answer.profile.clone(),
            revision: answer.revision,
        }
    }
}
