//! The only writer: load, decide, append with the expected version.

mod assignment;
mod changes;
mod check_in;
mod policy;
mod sync;
mod waiver;

use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_errors::Fault;
use muster_eventlog::command::{ExecuteError, Executed, Repository, State};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Projected;
use muster_eventlog::{Actor, Context};
use muster_telemetry::context::current_traceparent;
use muster_types::{Clock, Positions, RequestId, SettingId, SettingValue, StreamId, TenantId};
use tokio::sync::Mutex;

use crate::domain::Origin;
use crate::domain::assignment::Assignment;
use crate::domain::check_in_settings::CheckInSettings;
use crate::domain::policy::Policy;
use crate::domain::session::Session;
use crate::domain::sync::Sync;
use crate::domain::waiver::Waiver;
use crate::projection::Fleet;

pub use assignment::ASSIGNMENTS_MAX;
pub use changes::{Applied, CHANGES_MAX, Change, Proposed};
pub use policy::{GivenContent, SETTINGS_MAX, policy_id};
pub use sync::{Refused, Synced};
pub use waiver::waiver_id;

/// What every command brings.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub actor: Actor,
    /// The request; a repeat with the same id is the same request.
    pub request: RequestId,
    /// Only say what would come of it.
    pub validate_only: bool,
    /// What the caller has seen: whatever it names exists at least there.
    pub seen: Positions,
    /// Why, as they said; may be empty.
    pub reason: String,
}

/// A policy's settings as an admin gave them, in order.
pub type GivenSettings = Vec<(SettingId, SettingValue)>;

/// The commands of this service.
pub struct Commands {
    tenant: TenantId,
    log: SharedLog,
    clock: Arc<dyn Clock>,
    catalogue: &'static Catalogue,
    fleet: Projected<Fleet>,
    policies: Repository<Policy>,
    assignments: Repository<Assignment>,
    waivers: Repository<Waiver>,
    syncs: Repository<Sync>,
    check_ins: Repository<CheckInSettings>,
    sessions: Repository<Session>,
    /// Held while policies, assignments or waivers are changed: what a command looks up in the view, names above all, is
    /// not changed by another meanwhile.
    turn: Mutex<()>,
}

impl Commands {
    /// Commands that write to a log. The view is asked for what other aggregates hold: names, groups, devices.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        log: SharedLog,
        clock: Arc<dyn Clock>,
        catalogue: &'static Catalogue,
        fleet: Projected<Fleet>,
    ) -> Self {
        Self {
            tenant,
            log,
            clock,
            catalogue,
            fleet,
            policies: Repository::default(),
            assignments: Repository::default(),
            waivers: Repository::default(),
            syncs: Repository::default(),
            check_ins: Repository::default(),
            sessions: Repository::default(),
            turn: Mutex::default(),
        }
    }

    fn origin(&self, asked: &Asked) -> Origin {
        Origin {
            actor: asked.actor.as_str().to_owned(),
            reason: asked.reason.clone(),
            request: asked.request,
            at: self.clock.now(),
        }
    }

    /// Runs a command. That there is nothing to do, or a refusal, is decided on what the log holds: what is in memory may
    /// be of before another process wrote, which only an append finds out by itself.
    async fn run<S: State, R: Into<Fault>>(
        &self,
        repository: &Repository<S>,
        asked: &Asked,
        id: uuid::Uuid,
        decide: impl Fn(&S) -> Result<Vec<S::Event>, R>,
    ) -> Result<Executed<S>, Fault> {
        let stream = self.stream::<S>(id);
        let context = Context {
            actor: asked.actor.clone(),
            time: self.clock.now(),
            correlation_id: asked.request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        };
        let done = if asked.validate_only {
            repository.forget(stream);
            repository.rehearse(&self.log, stream, decide).await
        } else {
            match repository.execute(&self.log, stream, asked.request, &context, &decide).await {
                Ok(Executed { position: None, .. }) | Err(ExecuteError::Refused(_)) => {
                    repository.forget(stream);
                    repository.execute(&self.log, stream, asked.request, &context, decide).await
                }
                done => done,
            }
        };
        done.map_err(Fault::from)
    }

    fn stream<S: State>(&self, id: uuid::Uuid) -> StreamId {
        StreamId::new(self.tenant, S::AGGREGATE, id)
    }

    async fn see(&self, asked: &Asked) -> Result<(), Fault> {
        muster_runtime::position::settle(self.fleet.wait_for(&asked.seen)).await
    }
}
