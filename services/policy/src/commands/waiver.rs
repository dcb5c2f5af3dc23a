//! Waivers: granted, ended.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::Executed;
use muster_types::id::derive;
use muster_types::{RequestId, TenantId, WaiverId};

use super::{Asked, Commands};
use crate::domain::waiver::{Command, Grant, Target, Waiver};

impl Commands {
    /// Exempts devices. The same request again finds the waiver it granted.
    ///
    /// # Errors
    /// An unknown policy, setting, group or device; a grant out of bounds; a reused request id.
    pub async fn grant_waiver(
        &self,
        asked: &Asked,
        grant: Grant,
    ) -> Result<(WaiverId, Executed<Waiver>), Fault> {
        self.see(asked).await?;
        self.check_grant(&grant).await?;
        let id = waiver_id(self.tenant, asked.request);
        let command = Command::Grant { grant, origin: self.origin(asked) };
        let done = self.run(&self.waivers, asked, id.uuid(), |waiver| waiver.decide(&command)).await?;
        Ok((id, done))
    }

    /// Ends a waiver before its time.
    ///
    /// # Errors
    /// An unknown waiver.
    pub async fn revoke_waiver(&self, asked: &Asked, id: WaiverId) -> Result<Executed<Waiver>, Fault> {
        let command = Command::Revoke { origin: self.origin(asked) };
        self.run(&self.waivers, asked, id.uuid(), |waiver| waiver.decide(&command)).await
    }

    async fn check_grant(&self, grant: &Grant) -> Result<(), Fault> {
        let Grant { exempt, target, approver: _, expire: _ } = grant;
        if let Some(policy) = exempt.policy() {
            self.check_policy(policy).await?;
        }
        if let Some(setting) = exempt.setting()
            && self.catalogue.setting(setting).is_none()
        {
            let message = format!("the catalogue has no setting {setting}");
            return Err(Fault::new(ErrorCode::SettingUnknown, message).with("setting", setting.as_str()));
        }
        let fleet = self.fleet.read();
        match target {
            Target::Group(group) if !fleet.knows_group(*group) => {
                Err(Fault::new(ErrorCode::GroupUnknown, format!("no such group: {group}")))
            }
            Target::Device(device) if fleet.device(*device).is_none() => {
                Err(Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}")))
            }
            Target::Group(_) | Target::Device(_) => Ok(()),
        }
    }
}

/// The id of the waiver that a request grants.
#[must_use]
pub fn waiver_id(tenant: TenantId, request: RequestId) -> WaiverId {
    WaiverId::from_uuid(derive("waiver", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
