//! Which platform each device is of.

use muster_catalog::Platform;
use muster_types::DeviceId;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

const ALL: [Platform; 3] = [Platform::Linux, Platform::Macos, Platform::Windows];

/// Platforms of devices, by ordinal; of those that have none yet, by id.
#[derive(Debug, Default)]
pub(super) struct Platforms {
    by_ordinal: [RoaringBitmap; ALL.len()],
    waiting: FxHashMap<DeviceId, Platform>,
}

impl Platforms {
    /// Notes a device's platform.
    pub(super) fn tell(&mut self, device: DeviceId, ordinal: Option<u32>, platform: Platform) {
        let Some(ordinal) = ordinal else {
            self.waiting.insert(device, platform);
            return;
        };
        for (other, devices) in ALL.into_iter().zip(&mut self.by_ordinal) {
            if other == platform {
                devices.insert(ordinal);
            } else {
                devices.remove(ordinal);
            }
        }
    }

    /// Notes the ordinal of a device.
    pub(super) fn place(&mut self, device: DeviceId, ordinal: u32) {
        if let Some(platform) = self.waiting.remove(&device) {
            self.tell(device, Some(ordinal), platform);
        }
    }

    /// A device's platform, once it was told.
    pub(super) fn of(&self, device: DeviceId, ordinal: Option<u32>) -> Option<Platform> {
        let Some(ordinal) = ordinal else { return self.waiting.get(&device).copied() };
        let found = ALL.into_iter().zip(&self.by_ordinal).find(|(_, devices)| devices.contains(ordinal));
        found.map(|(platform, _)| platform)
    }

    /// Devices that are known to be of another platform.
    pub(super) fn others(&self, platform: Platform) -> RoaringBitmap {
        let others = ALL.into_iter().zip(&self.by_ordinal).filter(|(other, _)| *other != platform);
        others.fold(RoaringBitmap::new(), |all, (_, devices)| all | devices)
    }

    /// Devices whose platforms were told; `devices` are those with ordinals.
    pub(super) fn told<'a>(&'a self, devices: &'a [DeviceId]) -> impl Iterator<Item = DeviceId> + 'a {
        let placed = self.by_ordinal.iter().flatten().filter_map(|ordinal| devices.get(ordinal as usize));
        placed.chain(self.waiting.keys()).copied()
    }
}
