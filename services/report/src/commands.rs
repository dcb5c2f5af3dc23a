//! The only writer: load, decide, append with the expected version.

mod absence;
mod settings;

use std::sync::Arc;

use muster_eventlog::command::{ExecuteError, Executed, Repository};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Projected;
use muster_eventlog::{Actor, Context};
use muster_telemetry::context::current_traceparent;
use muster_types::{Aggregate, Clock, DeviceId, RequestId, StreamId, TenantId};

use crate::domain::device_status::{Command, DeviceStatus, Error, Statement};
use crate::domain::report_settings::ReportSettings;
use crate::projection::Sightings;

pub use absence::{ABSENCES_MAX, Absence};

/// What a command of an admin brings.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub actor: Actor,
    /// The request; a repeat with the same id is the same request.
    pub request: RequestId,
    /// Only say what would come of it.
    pub validate_only: bool,
    /// Why, as they said; may be empty.
    pub reason: String,
}

/// The commands of this service.
pub struct Commands {
    tenant: TenantId,
    log: SharedLog,
    clock: Arc<dyn Clock>,
    sightings: Projected<Sightings>,
    statuses: Repository<DeviceStatus>,
    settings: Repository<ReportSettings>,
}

impl Commands {
    /// Commands that write to a log. The view says when settings count as drifting.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        log: SharedLog,
        clock: Arc<dyn Clock>,
        sightings: Projected<Sightings>,
    ) -> Self {
        let (statuses, settings) = (Repository::default(), Repository::default());
        Self { tenant, log, clock, sightings, statuses, settings }
    }

    /// Takes in what a device says. What it said before makes no event, so that a repeated report needs no request id.
    ///
    /// # Errors
    /// Refused when the report is out of bounds.
    pub async fn report_status(
        &self,
        (tenant, device): (TenantId, DeviceId),
        said: Statement,
    ) -> Result<Executed<DeviceStatus>, ExecuteError<Error>> {
        let request = RequestId::generate();
        let context = self.context(Actor::device(device), request);
        let stream = StreamId::new(tenant, Aggregate::DeviceStatus, device.uuid());
        let drift_after = self.sightings.read().settings().values().drift_after;
        let command = Command::Report { said, drift_after };
        self.statuses.execute(&self.log, stream, request, &context, |state| state.decide(&command)).await
    }

    fn context(&self, actor: Actor, request: RequestId) -> Context {
        Context {
            actor,
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        }
    }
}
