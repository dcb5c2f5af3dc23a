//! Devices that shall check in at once, and identities that live twice.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_eventlog::command::Executed;
use muster_types::{DeviceId, Positions, RequestId, Service};

use super::{Asked, Commands};
use crate::domain::session::{self, BootId, Session};
use crate::domain::sync::{self, Sync};

impl Commands {
    /// Asks a device to check in at once.
    ///
    /// # Errors
    /// An unknown device.
    pub async fn sync(&self, asked: &Asked, device: DeviceId) -> Result<Executed<Sync>, Fault> {
        self.see(asked).await?;
        if self.fleet.read().device(device).is_none() {
            return Err(Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}")));
        }
        let command = sync::Command::Request { request: asked.request };
        self.run(&self.syncs, asked, device.uuid(), |sync| sync.decide(&command)).await
    }

    /// Notes that two boots of a device's identity take turns.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn observed_turns(
        &self,
        device: DeviceId,
        boots: [BootId; 2],
    ) -> Result<Executed<Session>, Fault> {
        let request = RequestId::generate();
        let asked = Asked {
            actor: Actor::service(Service::Policy),
            request,
            validate_only: false,
            seen: Positions::ZERO,
            reason: String::new(),
        };
        let command = session::Command::Observe { boots, request };
        self.run(&self.sessions, &asked, device.uuid(), |session| session.decide(&command)).await
    }
}
