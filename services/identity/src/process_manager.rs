//! What identity does because of events: a device that enroll deleted or offboarded is no longer registered; two sessions
//! that policy saw make a suspicion. What follows for groups is the business of [`membership`].
//!
//! Removing a device here makes enroll delete it, which comes back here and finds nothing to do: no echo. Each reaction is
//! harmless when it is told again, also much later, when the device is back.

pub mod matching;
pub mod membership;

use std::sync::Arc;

use muster_errors::Fault;
use muster_eventlog::command::ExecuteError;
use muster_eventlog::kv::Kv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Envelope, ReadError, react};
use muster_proto::policy::v1::DuplicateSessionsObserved;
use muster_types::{DeviceId, Service};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::commands::{Commands, Order};
use crate::domain::registration::{Command, Error, Removal};
use crate::metrics::IdentityMetrics;
use crate::queries::Queries;
use crate::wire;

/// Whose checkpoint it is, in the store.
const NAME: &str = "registrations-and-groups";

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// End the registration, unless enroll let the device come back since.
    Remove(Removal),
    /// Note that two sessions use it.
    Suspect {
        /// Boot ids of the two.
        boot_ids: Vec<[u8; 16]>,
    },
}

/// What an event asks of this service. Pure.
///
/// # Errors
/// What is wrong with the event.
pub fn react(event: &Envelope) -> Result<Option<Reaction>, String> {
    Ok(Some(match event.kind.as_str() {
        wire::kind::DEVICE_DELETED => Reaction::Remove(Removal::Deleted),
        wire::kind::DEVICE_OFFBOARDED => Reaction::Remove(Removal::Offboarded),
        wire::kind::DUPLICATE_SESSIONS_OBSERVED => {
            let DuplicateSessionsObserved { boot_ids } = wire::decoded(&event.payload)?;
            Reaction::Suspect { boot_ids: wire::boot_ids(boot_ids)? }
        }
        _ => return Ok(None),
    }))
}

/// What reacts.
pub struct ProcessManager {
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// Numbers.
    pub metrics: IdentityMetrics,
}

impl ProcessManager {
    /// Follows the logs and does what events ask for, until the process stops.
    pub async fn run(self, log: SharedLog, kv: Arc<dyn Kv>, stopping: CancellationToken) {
        const SOURCES: &[Service] = &[Service::Enroll, Service::Policy];
        let this = &self;
        react::follow(log, kv, NAME, SOURCES, |event| this.handle(event), stopping.cancelled()).await;
    }

    /// Does what an event asks for; told again, it changes nothing.
    ///
    /// # Errors
    /// When it is worth another try: the log does not answer, or the views are too far behind.
    pub async fn handle(&self, event: Envelope) -> Result<(), Fault> {
        match react(&event) {
            Ok(None) => Ok(()),
            Ok(Some(Reaction::Remove(removal))) => self.remove(&event, removal).await,
            Ok(Some(Reaction::Suspect { boot_ids })) => self.suspect(&event, boot_ids).await,
            Err(reason) => {
                let (service, position) = (event.stream.service(), event.position);
                warn!(%service, position, reason, "passed over an event that cannot be read");
                Ok(())
            }
        }
    }

    async fn remove(&self, event: &Envelope, removal: Removal) -> Result<(), Fault> {
        if self.came_back(event).await? {
            return Ok(());
        }
        let reaction = match removal {
            Removal::Offboarded => "offboarded",
            Removal::Deleted | Removal::Merged { .. } => "deleted",
        };
        self.command(event, &Command::Remove(removal), reaction).await
    }

    /// Whether an admin let the device come back after an event of enroll: then that is settled.
    async fn came_back(&self, event: &Envelope) -> Result<bool, ReadError> {
        let later = self.commands.log().read(event.stream, event.version).await?;
        Ok(later.iter().any(|event| event.kind.as_str() == wire::kind::REENROLLMENT_ALLOWED))
    }

    async fn suspect(&self, event: &Envelope, boot_ids: Vec<[u8; 16]>) -> Result<(), Fault> {
        let command = Command::SuspectClone { boot_ids, observed: event.context.time };
        self.command(event, &command, "clone-suspected").await
    }

    async fn command(
        &self,
        event: &Envelope,
        command: &Command,
        reaction: &'static str,
    ) -> Result<(), Fault> {
        let device = DeviceId::from_uuid(event.stream.id);
        let order = Order::because(event, reaction);
        match self.commands.registration((event.stream.tenant, device), command, &order).await {
            Ok(done) if done.position.is_some() => {
                self.metrics.reacted(reaction);
                info!(%device, reaction, "changed a registration because of another service's event");
                Ok(())
            }
            // Many a device is deleted that was never trusted.
            Ok(_) | Err(ExecuteError::Refused(Error::Unknown)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
