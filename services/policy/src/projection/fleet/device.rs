//! A device of the fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use muster_catalog::Platform;
use muster_types::DeviceId;

use crate::domain::resolve::{Channel, Effective, Facts};

/// Who manages a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// Not decided yet.
    Undecided,
    /// This channel.
    Here,
    /// Another authority, or nobody.
    Elsewhere,
}

/// A device as far as policies care.
#[derive(Debug)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its operating system, once it was onboarded.
    pub platform: Option<Platform>,
    /// Who manages it.
    pub management: Management,
    /// Its place in bitmaps, once it is trusted.
    pub ordinal: Option<u32>,
    /// What it shall be set to, shared with all devices that do not differ.
    pub effective: Arc<Effective>,
    /// The period its policy was last signed in, as far as this process knows; see [`crate::checkin::period`].
    signed: AtomicU32,
}

impl Device {
    /// A device of which nothing is known.
    #[must_use]
    pub const fn new(id: DeviceId, effective: Arc<Effective>) -> Self {
        Self {
            id,
            platform: None,
            management: Management::Undecided,
            ordinal: None,
            effective,
            signed: AtomicU32::new(0),
        }
    }

    /// What of it matters for what it is set to; `None` while it gets nothing: not onboarded, or managed elsewhere.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        let managed = self.management != Management::Elsewhere;
        self.platform.filter(|_| managed).map(|platform| Facts { platform, channel: Channel::Ssm })
    }

    /// Where it is found by facts and ordinal.
    #[must_use]
    pub(super) fn class(&self) -> Option<(Facts, u32)> {
        self.facts().zip(self.ordinal)
    }

    /// Whether its policy was last signed in an earlier period, and none since `start`, when this process began.
    #[must_use]
    pub fn is_due(&self, period: u32, start: u32) -> bool {
        period > self.signed.load(Ordering::Relaxed).max(start)
    }

    /// Notes that its policy is signed.
    pub fn signed(&self, period: u32) {
        self.signed.store(period, Ordering::Relaxed);
    }
}
