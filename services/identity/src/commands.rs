//! The only writer: load, decide, append with the expected version.

pub mod directory;
mod group;
mod registration;
pub mod trust_anchor;

use std::sync::Arc;

use muster_eventlog::command::Repository;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, Context, Envelope, ReadError};
use muster_telemetry::context::current_traceparent;
use muster_types::{Clock, EventId, RequestId, Service, Timestamp};
use tokio::sync::{Mutex, MutexGuard, RwLock};
use uuid::Uuid;

use crate::domain::group::Group;
use crate::domain::registration::Registration;
use crate::domain::trust_anchor::TrustAnchor;
use crate::error::Unseen;
use crate::queries::Queries;

pub use group::{Answer, ChangeRule, DefineGroup, ModifyMembers, Written, group_id};
pub use registration::Merge;

/// On whose behalf a command is, and of which request it is a part.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who wants it.
    pub actor: Actor,
    /// The request; event ids follow from it.
    pub request: RequestId,
    /// The work it belongs to.
    pub correlation_id: Uuid,
    /// The event that led here, if one did.
    pub causation_id: Option<EventId>,
    /// Only say what would come of it.
    pub validate_only: bool,
}

impl Order {
    /// A request of somebody.
    #[must_use]
    pub const fn of(actor: Actor, request: RequestId) -> Self {
        Self { actor, request, correlation_id: request.uuid(), causation_id: None, validate_only: false }
    }

    /// What this service does because of an event, by the name of the reaction: the same each time.
    #[must_use]
    pub fn because(event: &Envelope, reaction: &str) -> Self {
        Self {
            actor: Actor::service(Service::Identity),
            request: RequestId::from_uuid(EventId::of_reaction(event.event_id, reaction).uuid()),
            correlation_id: event.context.correlation_id,
            causation_id: Some(event.event_id),
            validate_only: false,
        }
    }

    /// The same, only to say what would come of it.
    #[must_use]
    pub fn only_validated(self, validate_only: bool) -> Self {
        Self { validate_only, ..self }
    }
}

/// The commands of this service.
pub struct Commands {
    log: SharedLog,
    clock: Arc<dyn Clock>,
    registrations: Repository<Registration>,
    groups: Repository<Group>,
    trust_anchors: Repository<TrustAnchor>,
    /// Held while a name is looked up and taken: names are unique over groups and over trust anchors, which no
    /// single stream can say.
    naming: Mutex<()>,
    /// Held while a full registration is looked up and given to a device: each is of one device.
    registering: Mutex<()>,
    /// Held for reading while devices are let into groups, and for writing while some are taken out of all: none comes into
    /// a group after it was removed.
    membership: RwLock<()>,
}

impl Commands {
    /// Commands that write to a log.
    #[must_use]
    pub fn new(log: SharedLog, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            registrations: Repository::default(),
            groups: Repository::default(),
            trust_anchors: Repository::default(),
            naming: Mutex::default(),
            registering: Mutex::default(),
            membership: RwLock::default(),
        }
    }

    /// Waits for one's turn to give a full registration to a device, and until the views show all that those before did.
    /// Whoever looks up who has a registration, and then gives it away, holds the turn meanwhile.
    ///
    /// # Errors
    /// [`Unseen`] when the views do not get there in time.
    pub async fn registering(&self, queries: &Queries) -> Result<MutexGuard<'_, ()>, Unseen> {
        let turn = self.registering.lock().await;
        queries.catch_up(&self.log).await?;
        Ok(turn)
    }

    /// The log that is written to.
    #[must_use]
    pub fn log(&self) -> &SharedLog {
        &self.log
    }

    /// The moment it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Where a reader must be to see what a command came to: at its last event or, when there was nothing to do, at the
    /// end of the log.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn seen_at(&self, written: Option<u64>) -> Result<u64, ReadError> {
        match written {
            Some(position) => Ok(position),
            None => self.log.head(Service::Identity).await,
        }
    }

    fn context(&self, order: &Order) -> Context {
        let Order { actor, request: _, correlation_id, causation_id, validate_only: _ } = order;
        Context {
            actor: actor.clone(),
            time: self.clock.now(),
            correlation_id: *correlation_id,
            causation_id: *causation_id,
            traceparent: current_traceparent().map(Arc::from),
        }
    }
}
