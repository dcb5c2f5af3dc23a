//! What answers for past moments need of the present.

use muster_types::DeviceId;

use super::Standings;

impl Standings {
    /// The ordinal of a device; none before it was trusted.
    pub(crate) fn ordinal(&self, device: DeviceId) -> Option<u32> {
        self.devices.ordinal(device)
    }
}
