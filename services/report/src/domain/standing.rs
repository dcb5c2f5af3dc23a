//! How devices stand with what they should have: the words and values that reports are made of.
//!
//! Gravest wins: error, conflict, pending, not applicable when every setting is, succeeded otherwise.

mod fleet;
mod policy;

use muster_types::{DeviceId, Digest, PolicyId, SettingId, SettingValue, Timestamp};

use super::device_status::{CheckIn, SettingState, Status};

pub use fleet::{FleetPolicy, FleetStanding};
pub use policy::{
    Convergence, DeviceFilter, PolicyDevice, PolicyDevices, PolicySettings, PolicyStanding,
    RevisionConvergence, STRAGGLER_EXAMPLES_MAX, SettingCounts, StragglerReason, Stragglers,
};

/// Finer than a verdict: each belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DeviceState {
    /// Succeeded: every desired value was read back.
    Confirmed = 1,
    /// Error: a setting could not be applied, or another value was read back.
    Failed = 2,
    /// Error: the device does not obey the policy.
    Refused = 3,
    /// Error: tamper protection on the device keeps another value.
    TamperProtected = 4,
    /// Conflict: policies disagree over a setting.
    Conflict = 5,
    /// Pending: the policy was never sent to the device.
    NeverDelivered = 6,
    /// Pending: the policy was sent, and the device said nothing of it yet.
    Delivered = 7,
    /// Pending: the device has it and works on it.
    Applying = 8,
    /// Pending: what the device should have is not known yet.
    Unknown = 9,
    /// Not applicable: platform, version or channel cannot take it, or the device is managed elsewhere.
    Unsupported = 10,
    /// Not applicable: a waiver exempts the device.
    Waived = 11,
}

impl DeviceState {
    /// All states.
    pub const ALL: [Self; 11] = [
        Self::Confirmed,
        Self::Failed,
        Self::Refused,
        Self::TamperProtected,
        Self::Conflict,
        Self::NeverDelivered,
        Self::Delivered,
        Self::Applying,
        Self::Unknown,
        Self::Unsupported,
        Self::Waived,
    ];

    /// The verdict that the state belongs to.
    #[must_use]
    pub const fn verdict(self) -> CheckIn {
        match self {
            Self::Confirmed => CheckIn::Succeeded,
            Self::Failed | Self::Refused | Self::TamperProtected => CheckIn::Error,
            Self::Conflict => CheckIn::Conflict,
            Self::NeverDelivered | Self::Delivered | Self::Applying | Self::Unknown => CheckIn::Pending,
            Self::Unsupported | Self::Waived => CheckIn::NotApplicable,
        }
    }
}

/// How far a setting is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The policy that holds it was never sent to the device.
    NeverDelivered,
    /// It was sent; the device said nothing of it yet.
    Delivered,
    /// The device reported on it.
    Confirmed,
}

/// How one device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStanding {
    /// The device.
    pub device: DeviceId,
    /// Host name; empty when none was told.
    pub host_name: String,
    /// What it last said; nothing when it never did.
    pub reported: Option<Reported>,
    /// How it stands over all settings that it should have.
    pub state: DeviceState,
    /// Etag of the policy that it should have; none while nothing was resolved for it.
    pub desired_etag: Option<Digest>,
    /// Since when it should have it.
    pub desired_time: Option<Timestamp>,
    /// When that policy was sent to it.
    pub delivered_time: Option<Timestamp>,
    /// When it was in force by the device's clock; none when the device did not say, or said a time that cannot be.
    pub applied_time: Option<Timestamp>,
    /// When the device first reported the desired policy.
    pub confirmed_time: Option<Timestamp>,
    /// When it was last heard of.
    pub last_seen_time: Option<Timestamp>,
    /// It was not heard of for longer than the tenant's threshold.
    pub stale: bool,
    /// Each setting that it should have, is kept from, or speaks of; sorted by id.
    pub settings: Vec<SettingStanding>,
}

/// What a device said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Its status, whole.
    pub status: Status,
    /// When it was taken in.
    pub time: Timestamp,
    /// Position of its `StatusReported` in the report log.
    pub position: u64,
}

/// How a device stands with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingStanding {
    /// The setting.
    pub id: SettingId,
    /// Value it should have now; none when it is withheld or not asked for.
    pub desired: Option<SettingValue>,
    /// Value it last read back.
    pub observed: Option<SettingValue>,
    /// Verdict on the value that it should have now.
    pub state: SettingState,
    /// How far it is; none of a setting that is withheld or not asked for.
    pub stage: Option<Stage>,
    /// Code when it is not succeeded; empty otherwise.
    pub reason: String,
    /// What went wrong, in the device's words.
    pub message: String,
    /// How the values of several policies are brought together, as the catalogue says; empty when it does not know it.
    pub merge_mode: &'static str,
    /// All policies that reach the device and manage the setting, winners first.
    pub sources: Vec<Source>,
    /// Since when this value is desired.
    pub desired_time: Option<Timestamp>,
    /// How often the device put it back.
    pub corrections: u32,
    /// Something on the device seems to work against the policy.
    pub drift_suspected: bool,
    /// The device speaks of it though no policy that reaches it asks for it.
    pub unasked: bool,
}

/// A policy that manages a setting on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The policy.
    pub policy: PolicyId,
    /// Its name for people; empty when it is not known.
    pub display_name: String,
    /// Its revision.
    pub revision: u64,
    /// Whether its value is in force; false for losers and for candidates of a conflict.
    pub winner: bool,
}
