//! A tenant's settings are changed.

use muster_errors::Fault;
use muster_eventlog::command::{ExecuteError, Executed};
use muster_types::TenantId;

use super::{Asked, Commands, settings_stream};
use crate::domain::scope::Scope;
use crate::domain::tenant_settings::{Command, TenantSettings};

impl Commands {
    /// Changes the enforcement scope of a tenant. `change` makes the new scope of the present one, once more when another
    /// admin was first. The devices it touches are decided anew by the process manager.
    ///
    /// # Errors
    /// What `change` says; a scope that makes no sense; an etag that does not hold (empty means any).
    pub async fn change_scope(
        &self,
        asked: &Asked,
        tenant: TenantId,
        etag: &str,
        change: impl Fn(&Scope) -> Result<Scope, Fault>,
    ) -> Result<Executed<TenantSettings>, ExecuteError<Fault>> {
        let context = self.context(asked.actor.clone(), asked.request);
        let decide = |settings: &TenantSettings| {
            let scope = change(&settings.scope)?;
            let command = Command::ChangeScope { scope, etag: etag.to_owned(), now: context.time };
            settings.decide(&command).map_err(Fault::from)
        };
        let stream = settings_stream(tenant);
        if asked.validate_only {
            return self.settings.rehearse(&self.log, stream, decide).await;
        }
        self.settings.execute(&self.log, stream, asked.request, &context, decide).await
    }
}
