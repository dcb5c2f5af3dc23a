//! Tells the log what devices should have: the difference between what is resolved now and what was told before.
//!
//! Level-based: nothing depends on which change came when. What was missed while no process ran is told at the start; what
//! another process told first is not told again; and of what another process told the devices are compared anew, in case
//! it knew less. The comparison works on copies, after the hints are out, and holds no view up for long.

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::command::{append_surely, prepare};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Projected;
use muster_eventlog::{Actor, AppendError, Context, ReadError};
use muster_types::id::derive;
use muster_types::{Aggregate, Clock, Positions, RequestId, Service, StreamId, TenantId, Version};
use roaring::RoaringBitmap;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::domain::resolution::{Event, Told};
use crate::metrics::PolicyMetrics;
use crate::projection::fleet::Moved;
use crate::projection::{Fleet, Resolutions};

/// Pause before what changed is told, so that what belongs together is one event; and between two events.
const PAUSE: Duration = Duration::from_millis(50);
/// Pause before what failed is tried again.
const PAUSE_FAILED: Duration = Duration::from_secs(1);

/// What tells it.
pub struct Telling {
    /// Says what devices should have.
    pub fleet: Projected<Fleet>,
    /// Says what was told.
    pub told: Projected<Resolutions>,
    /// The tenant served.
    pub tenant: TenantId,
    /// Where it is told.
    pub log: SharedLog,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Numbers.
    pub metrics: PolicyMetrics,
}

/// Devices to compare.
#[derive(Debug)]
enum Pending {
    /// All of them: nothing was compared yet.
    All,
    /// Those that moved, or that another process told of.
    Some(Moved),
}

/// What came of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is told.
    Done,
    /// Another process told something, or knows more than this one: look again once the views have changed.
    Later,
}

/// Why nothing could be told for now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the comparison ended early: {0}")]
    Comparison(#[from] tokio::task::JoinError),
}

impl Pending {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Some(moved) if moved.is_empty())
    }

    fn join(&mut self, later: Moved) {
        if let Self::Some(moved) = self {
            moved.join(later);
        }
    }
}

impl Telling {
    /// Tells until the process stops. What is not told by then, the next process tells.
    pub async fn run(self, stopping: CancellationToken) {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let (mut fleet, mut told) = (self.fleet.watch(), self.told.watch());
        let mut pending = Pending::All;
        // Versions that this process wrote.
        let mut own = Own::default();
        while await_ready(&mut fleet).await && await_ready(&mut told).await {
            fleet.mark_unchanged();
            told.mark_unchanged();
            self.collect(&mut pending, &mut own);
            let mut pause = Duration::MAX;
            if !pending.is_empty() {
                // What belongs to the change comes within this time.
                tokio::time::sleep(PAUSE).await;
                self.collect(&mut pending, &mut own);
                match self.tell(&pending, &mut own).await {
                    Ok(Outcome::Done) => pending = Pending::Some(Moved::default()),
                    Ok(Outcome::Later) => pause = PAUSE_FAILED,
                    Err(error) => {
                        tracing::warn!(%error, "what devices should have is told later");
                        pause = PAUSE_FAILED;
                    }
                }
            }
            tokio::select! {
                changed = fleet.changed() => if changed.is_err() { return },
                changed = told.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause), if pause < Duration::MAX => {}
            }
        }
    }

    /// Adds what moved, and what others told of.
    fn collect(&self, pending: &mut Pending, own: &mut Own) {
        match self.fleet.read().take_moved() {
            Some(moved) => pending.join(moved),
            None => *pending = Pending::All,
        }
        let mentions = self.told.read().take_mentions().into_iter();
        let foreign = mentions.filter(|mention| !own.wrote(mention.version));
        let devices = foreign.fold(RoaringBitmap::new(), |all, mention| all | mention.devices);
        pending.join(Moved { devices, causes: Vec::new() });
    }

    /// Compares and tells.
    async fn tell(&self, pending: &Pending, own: &mut Own) -> Result<Outcome, Failure> {
        let Some((events, mut version)) = self.compare(pending).await? else { return Ok(Outcome::Later) };
        let mut position = None;
        for event in events {
            if position.is_some() {
                tokio::time::sleep(PAUSE).await;
            }
            match self.append(&event, version).await {
                Ok(appended) => position = Some(appended),
                Err(AppendError::Conflict { found, .. }) => {
                    tracing::debug!(%found, "another process told first");
                    return Ok(Outcome::Later);
                }
                Err(error) => return Err(error.into()),
            }
            version = version.next();
            own.written(version);
            let devices = event.resolved.iter().map(|resolved| resolved.devices.len()).sum::<u64>();
            self.metrics.resolutions_told(devices + event.none.len());
        }
        if let Some(position) = position {
            // The next comparison is with what was told now.
            let written = Positions::of(Service::Policy, position);
            if let Err(behind) = self.told.wait_for(&written).await {
                tracing::warn!(%behind, "what was told is not folded yet");
                return Ok(Outcome::Later);
            }
        }
        Ok(Outcome::Done)
    }

    /// What is to be told, and after which version; `None` when another process has resolved more than this one.
    async fn compare(&self, pending: &Pending) -> Result<Option<(Vec<Event>, Version)>, Failure> {
        let (devices, causes) = match pending {
            Pending::All => (None, Vec::new()),
            Pending::Some(moved) => (Some(&moved.devices), moved.causes.clone()),
        };
        let outcomes = {
            let fleet = self.fleet.read();
            fleet.outcomes(fleet.positions(), devices)
        };
        let (told, now) = (self.told.clone(), self.clock.now());
        let compared = spawn_blocking(move || {
            let difference = outcomes.difference(causes, now);
            let told = told.read();
            let events = told.told().decide(difference);
            events.map(|events| (events, told.version()))
        });
        match compared.await? {
            Ok(compared) => Ok(Some(compared)),
            Err(behind) => {
                tracing::debug!(%behind, "another process is further");
                Ok(None)
            }
        }
    }

    async fn append(&self, event: &Event, version: Version) -> Result<u64, AppendError> {
        let request = RequestId::generate();
        let context = Context {
            actor: Actor::service(Service::Policy),
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: None,
        };
        let events = std::slice::from_ref(event);
        let append = prepare::<Told>(stream(self.tenant), version, request, &context, events);
        Ok(append_surely(&self.log, vec![append]).await?.position)
    }
}

/// Versions that this process wrote and has not seen folded yet.
#[derive(Debug, Default)]
struct Own(std::collections::BTreeSet<Version>);

impl Own {
    fn written(&mut self, version: Version) {
        self.0.insert(version);
    }

    fn wrote(&mut self, version: Version) -> bool {
        self.0.remove(&version)
    }
}

/// Waits until a view has caught up; `false` when it never will.
async fn await_ready(progress: &mut watch::Receiver<muster_eventlog::project::Progress>) -> bool {
    progress.wait_for(|progress| progress.is_ready()).await.is_ok()
}

/// Where it is told what a tenant's devices should have.
#[must_use]
pub fn stream(tenant: TenantId) -> StreamId {
    StreamId::new(tenant, Aggregate::Resolution, derive("resolution", &[tenant.as_str().as_bytes()]))
}
