//! What happened to a waiver.

use muster_types::{DeviceId, GroupId, PolicyId, SettingId, Timestamp};

use crate::domain::Origin;

/// From what a waiver exempts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exempt {
    /// From a setting, whatever policy carries it.
    Setting(SettingId),
    /// From a setting as far as one policy carries it.
    SettingOf(PolicyId, SettingId),
    /// From all settings of a policy.
    Policy(PolicyId),
}

impl Exempt {
    /// The policy that is named, if one is.
    #[must_use]
    pub const fn policy(&self) -> Option<PolicyId> {
        match self {
            Self::Setting(_) => None,
            Self::SettingOf(policy, _) | Self::Policy(policy) => Some(*policy),
        }
    }

    /// The setting that is named, if one is.
    #[must_use]
    pub const fn setting(&self) -> Option<&SettingId> {
        match self {
            Self::Setting(setting) | Self::SettingOf(_, setting) => Some(setting),
            Self::Policy(_) => None,
        }
    }

    /// Whether it takes out what a policy offers for a setting.
    #[must_use]
    pub fn covers(&self, policy: PolicyId, setting: &SettingId) -> bool {
        self.policy().is_none_or(|named| named == policy)
            && self.setting().is_none_or(|named| named == setting)
    }
}

/// Who is exempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The devices of a group.
    Group(GroupId),
    /// One device.
    Device(DeviceId),
}

/// What a waiver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// From what.
    pub exempt: Exempt,
    /// Who.
    pub target: Target,
    /// Who approved it, for people.
    pub approver: String,
    /// When it ends by itself.
    pub expire: Timestamp,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was granted, and exempts from now on.
    Granted {
        /// What it says.
        grant: Grant,
        /// Where it comes from; the reason is why the devices are exempt.
        origin: Origin,
    },
    /// An admin ended it before its time.
    Revoked {
        /// Where it comes from.
        origin: Origin,
    },
    /// Its time is over.
    Expired {
        /// When this was seen.
        at: Timestamp,
    },
}
