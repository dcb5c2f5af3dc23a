//! How all devices stand.

use muster_types::PolicyId;

use super::{DeviceState, policy::verdicts};
use crate::domain::device_status::CheckIn;

/// How all devices stand, over all settings that each should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetStanding {
    /// Devices that are registered; the states add up to it.
    pub devices: u64,
    /// Devices by finer state, each once, in the order of [`DeviceState::ALL`].
    pub states: [(DeviceState, u64); DeviceState::ALL.len()],
    /// How many are stale.
    pub stale: u64,
    /// How many seem to be worked against.
    pub drifting: u64,
    /// Policies with how their devices stand, by name for people.
    pub policies: Vec<FleetPolicy>,
}

impl FleetStanding {
    /// Devices by verdict, each once, in the order of [`CheckIn::ALL`].
    #[must_use]
    pub fn verdicts(&self) -> [(CheckIn, u64); CheckIn::ALL.len()] {
        verdicts(&self.states)
    }
}

/// A policy in the report on the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetPolicy {
    /// The policy.
    pub policy: PolicyId,
    /// Its name for people.
    pub display_name: String,
    /// Devices in its groups.
    pub targeted: u64,
    /// Devices by verdict, each once, in the order of [`CheckIn::ALL`].
    pub verdicts: [(CheckIn, u64); CheckIn::ALL.len()],
}
