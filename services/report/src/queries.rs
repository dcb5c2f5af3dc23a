//! The only reader: what the gRPC calls answer with, from the view.
//!
//! Every answer is taken under one hold of the view's lock, so that its numbers are at one position and add up. `None` means
//! that there is no such device or policy in the tenant.

mod past;

use muster_eventlog::project::{Behind, Projected, Reading};
use muster_types::{DeviceId, PolicyId, Positions, SettingId, TenantId, Timestamp};

use crate::domain::standing::{
    Convergence, DeviceFilter, DeviceStanding, FleetStanding, PolicyDevices, PolicySettings, PolicyStanding,
};
use crate::projection::Standings;

pub use crate::projection::standings::Export;
pub use past::Past;

/// Most policies in the report on the fleet.
pub const FLEET_POLICIES_MAX: usize = 1_000;

/// An answer, and what it reflects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The answer.
    pub answer: T,
    /// How far the logs were folded.
    pub positions: Positions,
    /// Time of the latest event folded; none before the first.
    pub time: Option<Timestamp>,
}

/// The queries of this service.
#[derive(Debug, Clone)]
pub struct Queries {
    standings: Projected<Standings>,
}

impl Queries {
    /// Queries on the view.
    #[must_use]
    pub const fn new(standings: Projected<Standings>) -> Self {
        Self { standings }
    }

    /// Waits until the view has folded a position.
    ///
    /// # Errors
    /// [`Behind`] when it did not in time.
    pub async fn reach(&self, wanted: &Positions) -> Result<(), Behind> {
        self.standings.wait_for(wanted).await
    }

    /// How a device stands with each setting, or with the one named: then `settings` holds that one alone, or none when
    /// nobody asks for it and the device does not speak of it. A device that only spoke, or only came in, has a standing too.
    #[must_use]
    pub fn device(
        &self,
        tenant: TenantId,
        device: DeviceId,
        setting: Option<&SettingId>,
    ) -> Option<At<DeviceStanding>> {
        self.answer(|standings| standings.device(tenant, device, setting))
    }

    /// The ordinal of a device; none before it was trusted.
    fn ordinal(&self, device: DeviceId) -> Option<u32> {
        self.standings.read().ordinal(device)
    }

    /// How a policy's devices stand.
    #[must_use]
    pub fn policy(&self, tenant: TenantId, policy: PolicyId) -> Option<At<PolicyStanding>> {
        self.answer(|standings| standings.policy(tenant, policy))
    }

    /// At most `limit` of a policy's devices that fit a filter, by ordinal, from the one after `after` on.
    #[must_use]
    pub fn policy_devices(
        &self,
        tenant: TenantId,
        policy: PolicyId,
        filter: &DeviceFilter,
        after: Option<u32>,
        limit: usize,
    ) -> Option<At<PolicyDevices>> {
        let found = self.export(tenant, policy, filter)?;
        let At { answer, positions, time } = found;
        let devices: Vec<_> = answer.rows(after).take(limit).collect();
        let last = devices.last().map(|device| device.ordinal);
        let next_after = last.filter(|last| answer.is_more(*last));
        Some(At { answer: PolicyDevices { devices, next_after, total: answer.total() }, positions, time })
    }

    /// How a policy's devices stand with each of its settings.
    #[must_use]
    pub fn policy_settings(&self, tenant: TenantId, policy: PolicyId) -> Option<At<PolicySettings>> {
        self.answer(|standings| standings.policy_settings(tenant, policy))
    }

    /// How long a policy took from the change to the devices' reports, and who is not there yet.
    #[must_use]
    pub fn convergence(&self, tenant: TenantId, policy: PolicyId) -> Option<At<Convergence>> {
        self.answer(|standings| standings.convergence(tenant, policy))
    }

    /// How all devices stand, with at most [`FLEET_POLICIES_MAX`] policies.
    #[must_use]
    pub fn fleet(&self, tenant: TenantId) -> At<FleetStanding> {
        let standings = self.standings.read();
        at(standings.fleet(tenant, FLEET_POLICIES_MAX), &standings)
    }

    /// A picture of a policy's devices that fit a filter, for an export: taken in milliseconds; rows are made of it later,
    /// without the lock, and are all at the one position. It shares what does not change meanwhile with the view.
    #[must_use]
    pub fn export(&self, tenant: TenantId, policy: PolicyId, filter: &DeviceFilter) -> Option<At<Export>> {
        self.answer(|standings| standings.export(tenant, policy, filter))
    }

    fn answer<T>(&self, ask: impl FnOnce(&Standings) -> Option<T>) -> Option<At<T>> {
        let standings = self.standings.read();
        let answer = ask(&standings)?;
        Some(at(answer, &standings))
    }
}

fn at<T>(answer: T, standings: &Reading<'_, Standings>) -> At<T> {
    At { answer, positions: standings.positions(), time: standings.latest() }
}
