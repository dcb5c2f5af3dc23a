//! Making it so.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use muster_errors::Fault;
use muster_eventlog::command::{CONFLICT_RETRIES_MAX, append_surely};
use muster_eventlog::{Append, AppendError, Context};
use muster_telemetry::context::current_traceparent;
use muster_types::{GroupId, Positions, Service};

use super::super::{Asked, Commands};
use super::{Applied, Change, Proposed};

impl Commands {
    /// Makes changes, all of them or none, in one append. `approve` is asked about what they would come to, while nothing
    /// else is changed here and the view shows all that was; not when the same request made them before.
    /// Groups in `groups` are taken as there.
    ///
    /// # Errors
    /// Those of [`Commands::propose`] and of `approve`.
    pub async fn apply_changes<'a>(
        &self,
        asked: &Asked,
        changes: &[Change],
        groups: &BTreeSet<GroupId>,
        approve: impl Fn(&Proposed) -> BoxFuture<'a, Result<(), Fault>> + Send + Sync,
    ) -> Result<Applied, Fault> {
        let _turn = self.turn.lock().await;
        let mut conflicts = 0;
        loop {
            self.folded_all().await?;
            let proposed = self.propose(asked, changes, groups).await?;
            if !proposed.made_before {
                approve(&proposed).await?;
            }
            let appends = if asked.validate_only { Vec::new() } else { self.appends(asked, &proposed) };
            match self.append(appends).await {
                Ok((events, position)) => {
                    // Not remembered: when the log had them already, it may have later ones too.
                    proposed.drafts.forget(self);
                    self.folded_to(position).await;
                    let policies = proposed.policies();
                    return Ok(Applied { names: proposed.names, events, position, policies });
                }
                Err(AppendError::Conflict { .. }) if conflicts < CONFLICT_RETRIES_MAX => {
                    conflicts += 1;
                    proposed.drafts.forget(self);
                }
                Err(error) => {
                    proposed.drafts.forget(self);
                    return Err(error.to_fault());
                }
            }
        }
    }

    /// The view shows all that was written before: a plan is of the present.
    async fn folded_all(&self) -> Result<(), Fault> {
        let head = self.log.head(Service::Policy).await?;
        let written = Positions::of(Service::Policy, head);
        muster_runtime::position::settle(self.fleet.wait_for(&written)).await
    }

    fn appends(&self, asked: &Asked, proposed: &Proposed) -> Vec<Append> {
        let context = Context {
            actor: asked.actor.clone(),
            time: self.clock.now(),
            correlation_id: asked.request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        };
        proposed.drafts.appends(asked.request, &context)
    }

    async fn append(&self, appends: Vec<Append>) -> Result<(usize, Option<u64>), AppendError> {
        if appends.is_empty() {
            return Ok((0, None));
        }
        let events = appends.iter().map(|append| append.events.len()).sum();
        let appended = append_surely(&self.log, appends).await?;
        Ok((events, Some(appended.position)))
    }
}
