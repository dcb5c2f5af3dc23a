//! Settings that something on a device seems to work against.

use muster_types::{DeviceId, Digest, SettingId};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

/// A suspicion: it holds until the device reports on another policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The setting.
    pub setting: SettingId,
    /// How often it was put back.
    pub corrections: u32,
    /// Etag of the policy in force.
    pub etag: Digest,
}

/// All suspicions.
#[derive(Debug, Default)]
pub(super) struct Drifts {
    of: FxHashMap<DeviceId, Vec<Drift>>,
    marks: FxHashMap<SettingId, RoaringBitmap>,
}

impl Drifts {
    pub(super) fn of(&self, device: DeviceId) -> &[Drift] {
        self.of.get(&device).map(Vec::as_slice).unwrap_or_default()
    }

    /// Devices that have any.
    pub(super) fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.of.keys().copied()
    }

    /// Devices on which a setting is suspected.
    pub(super) fn marked(&self, setting: &SettingId) -> Option<&RoaringBitmap> {
        self.marks.get(setting)
    }

    /// Devices on which any setting is suspected.
    pub(super) fn any(&self) -> RoaringBitmap {
        self.marks.values().fold(RoaringBitmap::new(), |any, devices| any | devices)
    }

    pub(super) fn suspect(&mut self, device: DeviceId, ordinal: Option<u32>, drift: Drift) {
        if let Some(ordinal) = ordinal {
            self.marks.entry(drift.setting.clone()).or_default().insert(ordinal);
        }
        let drifts = self.of.entry(device).or_default();
        drifts.retain(|other| other.setting != drift.setting);
        drifts.push(drift);
        drifts.sort_by(|one, other| one.setting.cmp(&other.setting));
    }

    /// Drops what was suspected under another policy; says whether there was any.
    pub(super) fn keep(&mut self, device: DeviceId, ordinal: Option<u32>, etag: &Digest) -> bool {
        let Some(drifts) = self.of.get_mut(&device) else { return false };
        let (kept, dropped): (Vec<_>, Vec<_>) =
            std::mem::take(drifts).into_iter().partition(|drift| drift.etag == *etag);
        for drift in &dropped {
            if let (Some(ordinal), Some(devices)) = (ordinal, self.marks.get_mut(&drift.setting)) {
                devices.remove(ordinal);
                if devices.is_empty() {
                    self.marks.remove(&drift.setting);
                }
            }
        }
        if kept.is_empty() {
            self.of.remove(&device);
        } else {
            *drifts = kept;
        }
        !dropped.is_empty()
    }

    /// Notes the ordinal of a device.
    pub(super) fn place(&mut self, device: DeviceId, ordinal: u32) {
        for drift in self.of.get(&device).into_iter().flatten() {
            self.marks.entry(drift.setting.clone()).or_default().insert(ordinal);
        }
    }
}
