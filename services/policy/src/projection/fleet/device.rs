//! A device of the fleet.

use std::sync::atomic::{AtomicU32, Ordering};

use muster_catalog::{Catalogue, Platform, RulesAsOf, TamperLock};
use muster_types::{DeviceId, EnrollmentCode, Timestamp};

use super::AgentVersion;
use crate::domain::resolve::{Channel, Facts};

/// Who manages a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// Not decided yet.
    Undecided,
    /// This channel.
    Here,
    /// Another authority, or nobody; the code says why.
    Elsewhere(EnrollmentCode),
}

/// Why a device is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It confirmed its offboarding.
    Offboarded,
    /// It was deleted.
    Deleted,
    /// It turned out to be another one.
    Merged,
}

/// First bytes of a digest of facts: enough to tell whether they changed.
pub type FactsMark = [u8; 8];

/// The mark of a digest; `None` when it is too short to be one.
#[must_use]
pub fn facts_mark(digest: &[u8]) -> Option<FactsMark> {
    digest.first_chunk().copied()
}

/// What the logs say of a device, as far as policies care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its operating system, once it was onboarded.
    pub platform: Option<Platform>,
    /// Who manages it.
    pub management: Management,
    /// Its place in bitmaps, once it is trusted.
    pub ordinal: Option<u32>,
    /// Why it is no longer there, if so. It may onboard again.
    pub gone: Option<Gone>,
    /// Two live sessions use its identity, and no admin has resolved that.
    pub quarantined: bool,
    /// When the order to leave management expires, if an admin gave one.
    pub offboarding: Option<Timestamp>,
    /// What its facts are known by, if that is known.
    pub facts: Option<FactsMark>,
    /// Whether it is known to be a domain controller.
    pub domain_controller: bool,
    /// Version of its security product.
    pub agent: AgentVersion,
    /// Whether tamper protection guards it.
    pub tamper: TamperLock,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            platform: None,
            management: Management::Undecided,
            ordinal: None,
            gone: None,
            quarantined: false,
            offboarding: None,
            facts: None,
            domain_controller: false,
            agent: AgentVersion::default(),
            tamper: TamperLock::Unknown,
        }
    }
}

impl Told {
    /// What of it matters for what it is set to; `None` while it gets nothing: not onboarded, gone, or managed elsewhere.
    #[must_use]
    pub fn facts(&self, catalogue: &Catalogue, rules_as_of: RulesAsOf) -> Option<Facts> {
        let managed = self.gone.is_none() && !matches!(self.management, Management::Elsewhere(_));
        let platform = self.platform.filter(|_| managed)?;
        Some(Facts {
            platform,
            channel: Channel::Ssm,
            domain_controller: self.domain_controller,
            agent_level: catalogue.agent_level(platform, self.agent.text().as_deref()),
            tamper: self.tamper,
            rules_as_of,
        })
    }

    /// What it is directed by: a device whose directions change is hinted.
    #[must_use]
    pub(super) const fn directions(&self) -> (Management, bool, Option<Timestamp>) {
        (self.management, self.quarantined, self.offboarding)
    }

    /// Whether it was onboarded and is still there.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.platform.is_some() && self.gone.is_none()
    }
}

/// A device as far as policies care.
#[derive(Debug)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What the logs say of it.
    pub told: Told,
    /// The minute its policy was last signed in, as far as this process knows; see [`crate::checkin::minute`].
    signed: AtomicU32,
}

impl Device {
    /// A device of which nothing is known.
    #[must_use]
    pub fn new(id: DeviceId) -> Self {
        Self { id, told: Told::default(), signed: AtomicU32::new(0) }
    }

    /// The minute its policy was last signed in; 0 when this process has signed none.
    #[must_use]
    pub fn last_signed(&self) -> u32 {
        self.signed.load(Ordering::Relaxed)
    }

    /// Notes that its policy is signed.
    pub fn signed(&self, minute: u32) {
        self.signed.store(minute, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_takes_at_most_80_bytes() {
        assert!(size_of::<Device>() <= 80, "{}", size_of::<Device>());
    }
}
