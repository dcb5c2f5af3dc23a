//! Waivers: granted, ended.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::{Executed, event_id};
use muster_eventlog::{Actor, Context};
use muster_types::id::derive;
use muster_types::{DeviceId, RequestId, Service, TenantId, WaiverId};

use super::assignment::group_unknown;
use super::{Asked, Commands};
use crate::domain::waiver::{self, Command, Exempt, Grant, Target, Waiver};

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
        let _turn = self.turn.lock().await;
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
        let _turn = self.turn.lock().await;
        let command = Command::Revoke { origin: self.origin(asked) };
        self.run(&self.waivers, asked, id.uuid(), |waiver| waiver.decide(&command)).await
    }

    /// Ends a waiver if its time is over.
    ///
    /// # Errors
    /// An unknown waiver.
    pub async fn expire_waiver(&self, id: WaiverId) -> Result<Executed<Waiver>, Fault> {
        let stream = self.stream::<Waiver>(id.uuid());
        let (waiver, _) = self.waivers.load(&self.log, stream).await?;
        let granted = waiver.known().ok_or(waiver::Error::Unknown)?.origin.request;
        // The same in every process: two of them write one event.
        let request = RequestId::from_uuid(derive("waiver-expiry", &[id.as_bytes()]));
        let now = self.clock.now();
        let context = Context {
            actor: Actor::service(Service::Policy),
            time: now,
            correlation_id: granted.uuid(),
            causation_id: Some(event_id(stream, granted, 0)),
            traceparent: None,
        };
        let decide = |waiver: &Waiver| waiver.decide(&Command::Expire { now });
        let done = self.waivers.execute(&self.log, stream, request, &context, decide).await;
        done.map_err(Fault::from)
    }

    async fn check_grant(&self, grant: &Grant) -> Result<(), Fault> {
        let Grant { exempt, target, approver: _, expire: _ } = grant;
        if let Some(policy) = exempt.policy() {
            self.check_policy(policy).await?;
        }
        self.check_exempt(exempt)?;
        match *target {
            Target::Group(group) if !self.fleet.read().knows_group(group) => Err(group_unknown(group)),
            Target::Group(_) => Ok(()),
            Target::Device(device) => self.check_device(device),
        }
    }

    pub(super) fn check_exempt(&self, exempt: &Exempt) -> Result<(), Fault> {
        match exempt.setting() {
            Some(setting) if self.catalogue.setting(setting).is_none() => {
                let message = format!("the catalogue has no setting {setting}");
                Err(Fault::new(ErrorCode::SettingUnknown, message).with("setting", setting.as_str()))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn check_device(&self, device: DeviceId) -> Result<(), Fault> {
        if self.fleet.read().device(device).is_none() {
            return Err(Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}")));
        }
        Ok(())
    }
}

/// The id of the waiver that a request grants.
#[must_use]
pub fn waiver_id(tenant: TenantId, request: RequestId) -> WaiverId {
    WaiverId::from_uuid(derive("waiver", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
