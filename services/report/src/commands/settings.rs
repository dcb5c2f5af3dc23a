//! When devices count as stale or drifting.

use muster_errors::Fault;
use muster_eventlog::command::{ExecuteError, Executed};
use muster_types::id::derive;
use muster_types::{Aggregate, StreamId, TenantId};

use super::{Asked, Commands};
use crate::domain::Origin;
use crate::domain::report_settings::{Command, ReportSettings, Values};

impl Commands {
    /// Changes when devices count as stale or drifting.
    ///
    /// That there is nothing to do, or a refusal, is decided on what the log holds: what is in memory may be of before
    /// another process wrote, which only an append finds out by itself.
    ///
    /// # Errors
    /// Values out of bounds; an etag that does not hold.
    pub async fn change_report_settings(
        &self,
        asked: &Asked,
        values: Values,
        etag: String,
    ) -> Result<Executed<ReportSettings>, Fault> {
        let context = self.context(asked.actor.clone(), asked.request);
        let origin = Origin {
            actor: asked.actor.as_str().to_owned(),
            reason: asked.reason.clone(),
            request: asked.request,
            at: context.time,
        };
        let command = Command::Change { values, etag, origin };
        let decide = |settings: &ReportSettings| settings.decide(&command);
        let stream = stream(self.tenant);
        if asked.validate_only {
            self.settings.forget(stream);
            return Ok(self.settings.rehearse(&self.log, stream, decide).await?);
        }
        match self.settings.execute(&self.log, stream, asked.request, &context, decide).await {
            Ok(Executed { position: None, .. }) | Err(ExecuteError::Refused(_)) => {
                self.settings.forget(stream);
                Ok(self.settings.execute(&self.log, stream, asked.request, &context, decide).await?)
            }
            done => Ok(done?),
        }
    }
}

/// Where the settings of a tenant stand.
fn stream(tenant: TenantId) -> StreamId {
    let id = derive("report settings", &[tenant.as_str().as_bytes()]);
    StreamId::new(tenant, Aggregate::ReportSettings, id)
}
