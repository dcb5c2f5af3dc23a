//! Devices that are not heard of any more, and those that are heard of again.

use muster_eventlog::command::{State as _, append_surely};
use muster_eventlog::log::APPEND_EVENTS_MAX;
use muster_eventlog::{Actor, Append, AppendError, Context, NewEvent, ReadError};
use muster_types::id::derive;
use muster_types::{Aggregate, DeviceId, EventId, RequestId, Service, StreamId, Timestamp};

use super::Commands;
use crate::domain::device_status::{Command, DeviceStatus};

/// Most devices noted with one append.
pub const ABSENCES_MAX: usize = APPEND_EVENTS_MAX;
/// How often a batch is decided anew when others write first.
const CONFLICTS_MAX: u32 = 16;

/// What is noted of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Nothing was heard of it for too long.
    Stale {
        /// When it was last heard of.
        last_seen: Timestamp,
    },
    /// It was stale, and was heard of again.
    Over {
        /// When.
        seen: Timestamp,
    },
}

impl Absence {
    fn command(self) -> Command {
        match self {
            Self::Stale { last_seen } => Command::GoStale { last_seen },
            Self::Over { seen } => Command::Return { seen },
        }
    }

    /// The same for whoever notes it, so that of two processes one writes.
    fn event_id(self, device: DeviceId) -> EventId {
        let (purpose, at) = match self {
            Self::Stale { last_seen } => ("device-went-stale", last_seen),
            Self::Over { seen } => ("device-returned", seen),
        };
        EventId::from_uuid(derive(purpose, &[device.as_bytes(), &at.micros().to_be_bytes()]))
    }
}

impl Commands {
    /// Notes absences of different devices with one append, at most [`ABSENCES_MAX`]; gives its position, none when all of
    /// it was noted before.
    ///
    /// # Errors
    /// Those of the log; the batch is noted as a whole or not at all.
    pub async fn note_absences(&self, batch: &[(DeviceId, Absence)]) -> Result<Option<u64>, Failure> {
        let context = self.context(Actor::service(Service::Report), RequestId::generate());
        let mut conflicts = 0;
        loop {
            let mut appends = Vec::with_capacity(batch.len());
            for (device, absence) in batch.iter().take(ABSENCES_MAX) {
                appends.extend(self.absence(*device, *absence, &context).await?);
            }
            if appends.is_empty() {
                return Ok(None);
            }
            match append_surely(&self.log, appends).await {
                Ok(appended) => return Ok(Some(appended.position)),
                Err(AppendError::Conflict { .. }) if conflicts < CONFLICTS_MAX => conflicts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The append for one device, by what the log holds. Devices of which nothing is heard are not worth a place in memory.
    async fn absence(
        &self,
        device: DeviceId,
        absence: Absence,
        context: &Context,
    ) -> Result<Option<Append>, ReadError> {
        let stream = StreamId::new(self.tenant, Aggregate::DeviceStatus, device.uuid());
        self.statuses.forget(stream);
        let (state, expected) = self.statuses.load(&self.log, stream).await?;
        self.statuses.forget(stream);
        // Reports are refused, absences never.
        let events = state.decide(&absence.command()).unwrap_or_default();
        let events: Vec<_> = events
            .iter()
            .map(|event| {
                let (kind, payload) = DeviceStatus::encode(event);
                NewEvent { id: absence.event_id(device), kind, payload: payload.into() }
            })
            .collect();
        let context = context.clone();
        Ok((!events.is_empty()).then_some(Append { stream, expected, events, context }))
    }
}

/// Why absences could not be noted.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The log refused them or did not answer.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A device's status could not be loaded.
    #[error(transparent)]
    Read(#[from] ReadError),
}
