//! Devices that shall check in at once, and identities that live twice.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::Actor;
use muster_eventlog::command::Executed;
use muster_types::id::derive;
use muster_types::{DeviceId, EnrollmentCode, Positions, RequestId, Service, TenantId};
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{Asked, Commands};
use crate::domain::session::{self, BootId, Session};
use crate::domain::sync::{self, Sync};
use crate::projection::Fleet;
use crate::projection::fleet::Management;

/// A device that cannot be asked to check in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub device: DeviceId,
    /// Why: the enrollment code of one that is not managed here; none for one that is not known.
    pub code: Option<EnrollmentCode>,
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let Refused { device, code } = refused;
        match code {
            None => Self::new(ErrorCode::DeviceUnknown, format!("no such device: {device}")),
            Some(code) => {
                let message = format!("the device {device} is not managed here: {}", code.as_str());
                Self::new(ErrorCode::DeviceNotManaged, message).with("enrollment_code", code.as_str())
            }
        }
    }
}

/// Who was asked to check in.
#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    /// Those asked.
    pub devices: Vec<DeviceId>,
    /// Those that cannot be, in the order given.
    pub refused: Vec<Refused>,
    /// Where the event stands, if one was written.
    pub position: Option<u64>,
}

/// Whether a device may be asked to check in, and its ordinal.
fn syncable(fleet: &Fleet, id: DeviceId) -> Result<Option<u32>, Refused> {
    let refused = |code| Err(Refused { device: id, code });
    let Some(device) = fleet.device(id) else { return refused(None) };
    match (device.told.quarantined, device.told.management) {
        (true, _) => refused(Some(EnrollmentCode::Quarantined)),
        (false, Management::Elsewhere(code)) => refused(Some(code)),
        (false, Management::Here | Management::Undecided) => Ok(device.told.ordinal),
    }
}

impl Commands {
    /// Asks a device to check in at once.
    ///
    /// # Errors
    /// An unknown device, one that is not managed here.
    pub async fn sync(&self, asked: &Asked, device: DeviceId) -> Result<Executed<Sync>, Fault> {
        self.see(asked).await?;
        syncable(&self.fleet.read(), device)?;
        let command = sync::Command::Request { request: asked.request };
        self.run(&self.syncs, asked, device.uuid(), |sync| sync.decide(&command)).await
    }

    /// Asks many devices to check in at once, with one event. Those that are named twice are asked once.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn sync_many(&self, asked: &Asked, named: &[DeviceId]) -> Result<Synced, Fault> {
        self.see(asked).await?;
        let (mut devices, mut refused, mut ordinals) = (Vec::new(), Vec::new(), RoaringBitmap::new());
        {
            let fleet = self.fleet.read();
            for device in named {
                match syncable(&fleet, *device) {
                    Ok(Some(ordinal)) => {
                        if ordinals.insert(ordinal) {
                            devices.push(*device);
                        }
                    }
                    // Onboarded, and its certificate is not folded yet.
                    Ok(None) => {
                        refused.push(Refused { device: *device, code: Some(EnrollmentCode::Pending) });
                    }
                    Err(why) => refused.push(why),
                }
            }
        }
        let command = sync::Command::RequestMany { devices: ordinals, request: asked.request };
        let done = self.run(&self.syncs, asked, syncs_id(self.tenant), |sync| sync.decide(&command)).await?;
        Ok(Synced { devices, refused, position: done.position })
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

/// Where it stands that many devices of a tenant were asked.
fn syncs_id(tenant: TenantId) -> Uuid {
    derive("sync", &[tenant.as_str().as_bytes()])
}
