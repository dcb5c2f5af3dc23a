//! The only writer: load, decide, append with the expected version.

use std::sync::Arc;

use muster_eventlog::command::{ExecuteError, Executed, Repository};
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, Context};
use muster_telemetry::context::current_traceparent;
use muster_types::{Aggregate, Clock, DeviceId, RequestId, StreamId, TenantId};

use crate::domain::device_status::{Command, DeviceStatus, Error, Status};

/// The commands of this service.
pub struct Commands {
    log: SharedLog,
    clock: Arc<dyn Clock>,
    statuses: Repository<DeviceStatus>,
}

impl Commands {
    /// Commands that write to a log.
    #[must_use]
    pub fn new(log: SharedLog, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, statuses: Repository::default() }
    }

    /// Takes in what a device says. What it said before makes no event, so that a repeated report needs no request id.
    ///
    /// # Errors
    /// Refused when the report is out of bounds.
    pub async fn report_status(
        &self,
        (tenant, device): (TenantId, DeviceId),
        status: Status,
    ) -> Result<Executed<DeviceStatus>, ExecuteError<Error>> {
        let request = RequestId::generate();
        let context = Context {
            actor: Actor::device(device),
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        };
        let stream = StreamId::new(tenant, Aggregate::DeviceStatus, device.uuid());
        let command = Command::Report { status };
        self.statuses.execute(&self.log, stream, request, &context, |state| state.decide(&command)).await
    }
}
