//! How devices check in.

use muster_errors::Fault;
use muster_eventlog::command::Executed;
use muster_types::TenantId;
use muster_types::id::derive;
use uuid::Uuid;

use super::{Asked, Commands};
use crate::domain::check_in_settings::{CheckInSettings, Command, Values};

impl Commands {
    /// Changes how devices check in.
    ///
    /// # Errors
    /// Values out of bounds; an etag that does not hold.
    pub async fn change_check_in_settings(
        &self,
        asked: &Asked,
        values: Values,
        etag: String,
    ) -> Result<Executed<CheckInSettings>, Fault> {
        let command = Command::Change { values, etag, origin: self.origin(asked) };
        let id = check_in_settings_id(self.tenant);
        self.run(&self.check_ins, asked, id, |settings| settings.decide(&command)).await
    }
}

/// Where the settings of a tenant stand.
fn check_in_settings_id(tenant: TenantId) -> Uuid {
    derive("check-in settings", &[tenant.as_str().as_bytes()])
}
