//! Devices by their hardware.
//!
//! Made for very many devices: 32 bytes and 33 for each hardware key in a row, and about 13 for each key in the index,
//! which holds the first 4 bytes of a digest and the device's ordinal; whether the rest is equal, the row tells. A million
//! devices of 3 keys each take about 200 bytes each.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, DeviceId, HardwareKey, Service};
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;

use crate::domain::matching::{CANDIDATES_MAX, same};
use crate::domain::registration::{Event, Registration};
use crate::store::hardware as store;

/// Most devices that may share a hardware key. One that more share names no machine (an image that was copied, a number that
/// a maker left out) and is passed over in searches, which keeps them short however bad the keys of a fleet are.
pub const SHARED_MAX: usize = 256;

/// The view.
#[derive(Debug, Default)]
pub struct Hardware {
    rows: Vec<HardwareRow>,
    /// Ordinals by device: rows are asked whether it is theirs.
    by_device: HashTable<u32>,
    /// Ordinals of devices that were not removed, by the beginning of each of their keys.
    by_key: BTreeSet<(u32, u32)>,
    removed: RoaringBitmap,
}

/// By what a device's hardware is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareRow {
    /// The device.
    pub device: DeviceId,
    /// Its keys, in order.
    pub keys: Box<[HardwareKey]>,
}

/// The beginning of a key's digest.
pub(super) fn short(key: &HardwareKey) -> u32 {
    u32::from_be_bytes(*key.digest.first_chunk().expect("a digest has 32 bytes"))
}

/// Those who share a key, unless they are too many for it to tell anything.
pub(super) fn telling<T>(sharing: impl Iterator<Item = T>) -> Vec<T> {
    let mut sharing: Vec<_> = sharing.take(SHARED_MAX + 1).collect();
    if sharing.len() > SHARED_MAX {
        sharing.clear();
    }
    sharing
}

impl Hardware {
    /// A device's keys, also when it was removed; none when it was never trusted or brought none.
    #[must_use]
    pub fn keys(&self, device: DeviceId) -> &[HardwareKey] {
        self.ordinal(device).map_or(&[], |ordinal| &self.rows[ordinal as usize].keys)
    }

    /// The devices of the same hardware as these keys that were not removed, in the order of first trust, at most one more
    /// than a question to an admin names.
    #[must_use]
    pub fn matching(&self, keys: &[HardwareKey]) -> Vec<DeviceId> {
        let sharing = |key: &HardwareKey| {
            let range = (short(key), 0)..=(short(key), u32::MAX);
            telling(self.by_key.range(range).map(|(_, ordinal)| *ordinal))
        };
        let is = |ordinal: &u32| same(&self.rows[*ordinal as usize].keys, keys);
        let found: RoaringBitmap = keys.iter().flat_map(sharing).filter(is).collect();
        found.iter().take(CANDIDATES_MAX + 1).map(|ordinal| self.rows[ordinal as usize].device).collect()
    }

    /// Bytes that the view takes, without what the allocator adds; a tree's nodes are counted as three quarters full.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<HardwareRow>()
            + self.rows.iter().map(|row| size_of_val(&*row.keys)).sum::<usize>()
            + self.by_device.allocation_size()
            + self.by_key.len() * size_of::<(u32, u32)>() * 4 / 3
            + self.removed.serialized_size()
    }

    fn ordinal(&self, device: DeviceId) -> Option<u32> {
        let is = |ordinal: &u32| self.rows[*ordinal as usize].device == device;
        self.by_device.find(hash(device), is).copied()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a view of 4 billion rows does not fit in memory")
    }

    fn push(&mut self, row: HardwareRow) -> u32 {
        let (ordinal, hashed) = (self.count(), hash(row.device));
        self.rows.push(row);
        let rows = &self.rows;
        self.by_device.insert_unique(hashed, ordinal, |ordinal| hash(rows[*ordinal as usize].device));
        ordinal
    }

    fn list(&mut self, ordinal: u32, removed: bool) {
        if removed {
            self.removed.insert(ordinal);
        } else {
            self.removed.remove(ordinal);
        }
        for key in &self.rows[ordinal as usize].keys {
            let entry = (short(key), ordinal);
            if removed {
                self.by_key.remove(&entry);
            } else {
                self.by_key.insert(entry);
            }
        }
    }

    fn trusted(&mut self, device: DeviceId, mut keys: Vec<HardwareKey>) -> u32 {
        keys.sort_unstable();
        keys.dedup();
        let ordinal = self.ordinal(device);
        let ordinal = ordinal.unwrap_or_else(|| self.push(HardwareRow { device, keys: Box::default() }));
        // One that brings no keys this time has the ones it had.
        if !keys.is_empty() {
            self.list(ordinal, true);
            self.rows[ordinal as usize].keys = keys.into();
        }
        self.list(ordinal, false);
        ordinal
    }
}

fn hash(device: DeviceId) -> u64 {
    FxBuildHasher.hash_one(device)
}

impl View for Hardware {
    const NAME: &'static str = "hardware";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::Registration {
            return Ok(());
        }
        let device = DeviceId::from_uuid(event.stream.id);
        let ordinal = match Registration::decode(event).map_err(|reason| FoldError::new(event, reason))? {
            Some(Event::TrustEstablished { hardware_keys, .. }) => self.trusted(device, hardware_keys),
            Some(Event::RegistrationRemoved(_)) => {
                let unknown = || FoldError::new(event, "the device was never trusted");
                let ordinal = self.ordinal(device).ok_or_else(unknown)?;
                self.list(ordinal, true);
                ordinal
            }
            _ => return Ok(()),
        };
        dirty.mark(store::hardware_key(ordinal));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..self.count()).for_each(|ordinal| row(&store::hardware_key(ordinal)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let ordinal = store::hardware(key)?;
        let row = self.rows.get(ordinal as usize)?;
        Some(store::encode_hardware(row, self.removed.contains(ordinal)))
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let next = self.count();
        if store::hardware(key) != Some(next) {
            return Err(format!("the device with ordinal {next} is missing"));
        }
        let (row, removed) = store::decode_hardware(value)?;
        self.push(row);
        self.list(next, removed);
        Ok(())
    }
}
