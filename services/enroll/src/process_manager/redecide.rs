//! Devices are decided about anew when the tenant's settings change, when a decision was made by settings that had
//! changed meanwhile, and when seats become free or more are taken than there are.
//!
//! The view knows which devices stand elsewhere than they should, at a cost that follows the kinds of devices there are
//! and the devices touched, never the fleet. A pass asks it, decides about each of those, and asks again until there is
//! none. A pass covers all events that the view had folded when it was asked, so that many events cost one pass. Passes
//! of two replicas at once do no harm: what one has decided, the other finds decided.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::{ExecuteError, State as _};
use muster_eventlog::kv::Kv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Behind;
use muster_eventlog::{Envelope, react};
use muster_types::{Aggregate, DeviceId, EventId, Positions, Service, TenantId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::commands::{Commands, Sight as _};
use crate::domain::enrollment::{Enrollment, Event};
use crate::domain::tenant_settings::TenantSettings;
use crate::queries::Queries;

/// Whose checkpoint it is, in the store.
const NAME: &str = "redecisions";
/// Most devices that are asked for at a time.
const DEVICES_MAX: usize = 10_000;
/// Decisions under way at a time; the log commits them together.
const DECISIONS_AT_ONCE_MAX: usize = 64;
/// How often the view is asked again when nothing was left to decide: it may have been behind.
const IDLE_ROUNDS_MAX: u32 = 3;
/// Pause before the first pass is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether an event may leave devices where they should not stand by these settings. Pure.
///
/// # Errors
/// What is wrong with the event.
pub fn concerns(event: &Envelope, settings: &TenantSettings) -> Result<bool, String> {
    if event.stream.aggregate == Aggregate::TenantSettings {
        return Ok(event.version.0 >= settings.version);
    }
    if event.stream.aggregate != Aggregate::Enrollment {
        return Ok(false);
    }
    let seats_count = settings.scope.entitlement.seats.is_some();
    Ok(match Enrollment::decode(event)? {
        // It says nothing of the settings it was decided by: those of its time, unless they changed at that moment.
        Some(Event::Onboarded { .. }) => {
            seats_count || settings.update_time.is_some_and(|changed| event.context.time <= changed)
        }
        Some(
            Event::Permitted { scope_version }
            | Event::Succeeded { scope_version, .. }
            | Event::Refused { scope_version, .. },
        ) => seats_count || scope_version < settings.version,
        Some(Event::Offboarded(_) | Event::Deleted | Event::Merged { .. }) => seats_count,
        _ => false,
    })
}

/// The process manager that decides anew.
pub struct Redecisions {
    commands: Arc<Commands>,
    queries: Queries,
    log: SharedLog,
    /// Up to which position a tenant's events are covered by passes.
    covered: Mutex<FxHashMap<TenantId, u64>>,
}

impl Redecisions {
    /// Decides with these commands what these queries find.
    #[must_use]
    pub fn new(commands: Arc<Commands>, queries: Queries, log: SharedLog) -> Self {
        Self { commands, queries, log, covered: Mutex::default() }
    }

    /// Makes a pass over a tenant, for what happened while no process was there and for new rules, then follows this
    /// service's own log, until the process stops.
    pub async fn run(self, tenant: TenantId, kv: Arc<dyn Kv>, stopping: CancellationToken) {
        let start = async {
            while let Err(error) = self.start(tenant).await {
                warn!(%error, "devices cannot be decided about anew yet; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = start => {}
            () = stopping.cancelled() => return,
        }
        let react = |event| self.react(event);
        react::follow(self.log.clone(), kv, NAME, &[Service::Enroll], react, stopping.cancelled()).await;
    }

    async fn start(&self, tenant: TenantId) -> Result<(), Fault> {
        self.settle(self.head().await?).await?;
        self.pass(tenant, None).await
    }

    async fn react(&self, event: Envelope) -> Result<(), Fault> {
        let tenant = event.stream.tenant;
        if self.covered.lock().get(&tenant).is_some_and(|covered| event.position <= *covered) {
            return Ok(());
        }
        let concerned = concerns(&event, &self.queries.settings(tenant)).unwrap_or_else(|reason| {
            warn!(position = event.position, reason, "passed over an event that cannot be read");
            false
        });
        if !concerned {
            return Ok(());
        }
        self.settle(event.position).await?;
        self.pass(tenant, Some(event.event_id)).await
    }

    /// Decides about every device of a tenant that stands elsewhere than it should.
    ///
    /// # Errors
    /// The log or the view does not answer; what was decided stays, and another pass decides the rest.
    pub async fn pass(&self, tenant: TenantId, cause: Option<EventId>) -> Result<(), Fault> {
        let (mut decided, mut idle) = (0, 0);
        loop {
            let folded = self.queries.position();
            let (scope, _) = self.queries.scope(tenant);
            let differing = self.queries.differing(tenant, &scope, DEVICES_MAX);
            let withdrawn = self.queries.withdrawn(tenant, &scope, DEVICES_MAX);
            if differing.is_empty() && withdrawn.is_empty() || idle == IDLE_ROUNDS_MAX {
                self.covered.lock().insert(tenant, folded);
                if decided > 0 {
                    info!(%tenant, devices = decided, "decided about devices anew");
                }
                return Ok(());
            }
            // Those who lose their seats go first: others may have waited for them.
            let mut written = self.decide(tenant, withdrawn, cause, true).await?;
            written.extend(self.decide(tenant, differing, cause, false).await?);
            idle = if written.is_empty() { idle + 1 } else { 0 };
            decided += written.len();
            let last = match written.into_iter().max() {
                Some(last) => last,
                None => self.head().await?,
            };
            self.settle(last).await?;
        }
    }

    /// Decides about devices, and tells where in the log what was written ends.
    async fn decide(
        &self,
        tenant: TenantId,
        devices: Vec<DeviceId>,
        cause: Option<EventId>,
        withdrawn: bool,
    ) -> Result<Vec<u64>, Fault> {
        let decide = |device| async move {
            match self.commands.redecide((tenant, device), cause, withdrawn).await {
                Ok(done) => Ok(done.position),
                // Not in the log that the view was folded from: nothing to decide about.
                Err(ExecuteError::Refused(_)) => Ok(None),
                Err(error) => Err(Fault::from(error)),
            }
        };
        let decisions = stream::iter(devices).map(decide).buffer_unordered(DECISIONS_AT_ONCE_MAX);
        decisions.try_filter_map(future::ok).try_collect().await
    }

    async fn head(&self) -> Result<u64, Fault> {
        self.log.head(Service::Enroll).await.map_err(Fault::from)
    }

    /// Waits until the view has folded a position of this service's log.
    async fn settle(&self, position: u64) -> Result<(), Fault> {
        let wanted = Positions::of(Service::Enroll, position);
        let behind = |behind: Behind| Fault::new(ErrorCode::ViewBehind, behind.to_string());
        self.queries.reach(&wanted).await.map_err(behind)
    }
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, envelope};
    use muster_types::EnrollmentCode;

    use super::*;
    use crate::domain::enrollment::ManagedBy;
    use crate::domain::scope::Scope;

    fn settings(version: u64, seats: Option<u32>) -> TenantSettings {
        let mut scope = Scope::default();
        scope.entitlement.seats = seats;
        TenantSettings { scope, version, update_time: None }
    }

    fn decided(scope_version: u64) -> Envelope {
        let (managed_by, code) = (ManagedBy::Muster, EnrollmentCode::Enrolled);
        let event = Event::Succeeded { spiffe_id: "x".into(), managed_by, code, scope_version };
        let (kind, payload) = Enrollment::encode(&event);
        envelope::<Enrollment>(kind, payload)
    }

    #[test]
    fn a_decision_concerns_when_the_settings_have_changed_since_or_seats_are_counted() {
        assert_eq!(concerns(&decided(3), &settings(3, None)), Ok(false));
        assert_eq!(concerns(&decided(2), &settings(3, None)), Ok(true));
        assert_eq!(concerns(&decided(3), &settings(3, Some(9))), Ok(true));
    }

    #[test]
    fn a_change_of_settings_concerns_unless_another_came_after_it() {
        let event = crate::domain::tenant_settings::Event::ScopeChanged { scope: Scope::default(), at: AT };
        let (kind, payload) = TenantSettings::encode(&event);
        let changed = envelope::<TenantSettings>(kind, payload);
        assert_eq!(concerns(&changed, &settings(0, None)), Ok(true), "the view is behind");
        assert_eq!(concerns(&changed, &settings(1, None)), Ok(true));
        assert_eq!(concerns(&changed, &settings(2, None)), Ok(false));
    }
}
