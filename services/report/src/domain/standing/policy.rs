//! How the devices of a policy stand.

use std::time::Duration;

use muster_catalog::Platform;
use muster_types::{DeviceId, SettingId, Timestamp};

use super::DeviceState;
use crate::domain::device_status::{CheckIn, SettingState};

/// Most examples of devices that have not converged for a reason.
pub const STRAGGLER_EXAMPLES_MAX: usize = 10;

/// How a policy's devices stand. The states add up to `targeted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStanding {
    /// Devices in its groups.
    pub targeted: u64,
    /// Devices by finer state, each once, in the order of [`DeviceState::ALL`].
    pub states: [(DeviceState, u64); DeviceState::ALL.len()],
    /// How many of the targeted devices are stale; they have a state too.
    pub stale: u64,
    /// How many have a setting of the policy that seems to be worked against; they have a state too.
    pub drifting: u64,
}

impl PolicyStanding {
    /// Devices by verdict, each once, in the order of [`CheckIn::ALL`].
    #[must_use]
    pub fn verdicts(&self) -> [(CheckIn, u64); CheckIn::ALL.len()] {
        verdicts(&self.states)
    }
}

/// Finer states added up to their verdicts.
pub(super) fn verdicts(states: &[(DeviceState, u64)]) -> [(CheckIn, u64); CheckIn::ALL.len()] {
    CheckIn::ALL.map(|verdict| {
        let of_verdict = states.iter().filter(|(state, _)| state.verdict() == verdict);
        (verdict, of_verdict.map(|(_, devices)| devices).sum())
    })
}

/// Which devices of a policy; what is empty does not filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceFilter {
    /// Only these verdicts.
    pub verdicts: Vec<CheckIn>,
    /// Only these finer states.
    pub states: Vec<DeviceState>,
    /// Only devices whose host name begins with this, in any case.
    pub host_name_prefix: String,
    /// Only those that are stale, or only those that are not.
    pub stale: Option<bool>,
    /// Only those that the policy gives this setting, or would give it if they could take it.
    pub setting: Option<SettingId>,
    /// With `setting`: only these states of it.
    pub setting_states: Vec<SettingState>,
}

/// A device of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDevice {
    /// Its ordinal: what the next page begins after.
    pub ordinal: u32,
    /// The device.
    pub device: DeviceId,
    /// Host name; empty when none was told.
    pub host_name: String,
    /// How it stands; its verdict follows.
    pub state: DeviceState,
    /// Code of the first setting of the policy that is not well, or of the refusal; empty when all are.
    pub reason: String,
    /// When its last status was taken in.
    pub report_time: Option<Timestamp>,
    /// When it was last heard of.
    pub last_seen_time: Option<Timestamp>,
    /// It is stale.
    pub stale: bool,
    /// Since when it should have what it should have.
    pub desired_time: Option<Timestamp>,
    /// Platform, once it was told.
    pub platform: Option<Platform>,
    /// Version of the operating system, as the device said.
    pub os_version: String,
    /// Maker of the machine.
    pub manufacturer: String,
    /// Model of the machine.
    pub model: String,
}

/// Some devices of a policy, by ordinal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyDevices {
    /// The devices.
    pub devices: Vec<PolicyDevice>,
    /// Ordinal that the next page begins after; none on the last.
    pub next_after: Option<u32>,
    /// How many fit the filter altogether.
    pub total: u64,
}

/// Counts by setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    /// Devices in the policy's groups; the counts of each setting add up to it.
    pub targeted: u64,
    /// Each setting, sorted by id.
    pub settings: Vec<SettingCounts>,
}

/// How a policy's devices stand with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingCounts {
    /// The setting.
    pub id: SettingId,
    /// Devices by state, each once, in the order of [`SettingState::ALL`].
    pub counts: [(SettingState, u64); SettingState::ALL.len()],
}

/// How long a policy took, by the revisions that devices should have now, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Convergence {
    /// The revisions.
    pub revisions: Vec<RevisionConvergence>,
}

/// How long a revision took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionConvergence {
    /// Its number.
    pub revision: u64,
    /// Devices that should have it.
    pub devices: u64,
    /// Devices that read all of it back, but for what they are exempt from or cannot take.
    pub converged: u64,
    /// From the change that made a device's policy what it is to the device's first report of it: half of the devices took
    /// at most this; none when none converged.
    pub p50: Option<Duration>,
    /// 95 of 100.
    pub p95: Option<Duration>,
    /// 99 of 100.
    pub p99: Option<Duration>,
    /// Those that did not, by reason; only reasons that occur. They add up to `devices` less `converged`.
    pub stragglers: Vec<Stragglers>,
}

/// Devices that have not converged for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stragglers {
    /// Why.
    pub reason: StragglerReason,
    /// How many.
    pub devices: u64,
    /// Some of them, at most [`STRAGGLER_EXAMPLES_MAX`], by ordinal.
    pub examples: Vec<DeviceId>,
}

/// Why a device has not converged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StragglerReason {
    /// It was not heard of since.
    Offline,
    /// It does not obey the policy.
    Refused,
    /// A setting is withheld because policies disagree.
    Conflict,
    /// It cannot take the policy.
    Unsupported,
    /// Tamper protection keeps another value.
    TamperProtected,
    /// It was heard of, and is at work or has not come to it.
    Applying,
    /// A setting could not be applied, or another value was read back.
    Failed,
}

impl StragglerReason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Offline,
        Self::Refused,
        Self::Conflict,
        Self::Unsupported,
        Self::TamperProtected,
        Self::Applying,
        Self::Failed,
    ];
}
