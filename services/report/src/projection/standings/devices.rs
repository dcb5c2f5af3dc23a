//! Devices: their ordinals, what they said, and what people know them by.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use muster_catalog::Platform;
use muster_types::{DeviceId, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::column::Column;
use super::pool::NONE;

pub(super) const PLATFORMS: [Platform; 3] = [Platform::Linux, Platform::Macos, Platform::Windows];

/// A device.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: DeviceId,
    pub(super) tenant: u16,
    pub(super) stale: bool,
    pub(super) said: Option<Said>,
    pub(super) facts: Facts,
}

/// What a device last said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) list: u32,
    pub(super) etag: u32,
    pub(super) refused: u32,
    pub(super) version: u64,
    pub(super) applied: Option<Timestamp>,
    pub(super) time: Timestamp,
    pub(super) position: u64,
    /// When it first spoke of the etag, without another between.
    pub(super) first: Timestamp,
    /// When all was well under the etag for the first time.
    pub(super) well: Option<Timestamp>,
    /// Fields that this version does not know.
    pub(super) unknown: Option<Box<[u8]>>,
}

/// What people know a device by.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) host: Box<str>,
    pub(super) platform: Option<Platform>,
    pub(super) os_version: u32,
    pub(super) maker: u32,
    pub(super) model: u32,
}

impl Default for Facts {
    fn default() -> Self {
        Self { host: Box::default(), platform: None, os_version: NONE, maker: NONE, model: NONE }
    }
}

impl Row {
    pub(super) fn new(id: DeviceId, tenant: u16) -> Self {
        Self { id, tenant, stale: false, said: None, facts: Facts::default() }
    }
}

/// All devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// By ordinal.
    pub(super) rows: Column<Row>,
    ordinals: HashTable<u32>,
    /// Devices that have no ordinal yet: what is known of them came early.
    pub(super) waiting: FxHashMap<DeviceId, Row>,
    /// Ordinals of devices that are no longer registered: deleted, offboarded or merged.
    pub(super) gone: RoaringBitmap,
    pub(super) stale: RoaringBitmap,
    platforms: [RoaringBitmap; PLATFORMS.len()],
}

fn hash(id: DeviceId) -> u64 {
    FxBuildHasher.hash_one(id)
}

impl Devices {
    pub(super) fn ordinal(&self, id: DeviceId) -> Option<u32> {
        let is = |at: &u32| self.rows.get(*at as usize).is_some_and(|row| row.id == id);
        self.ordinals.find(hash(id), is).copied()
    }

    pub(super) fn row(&self, id: DeviceId) -> Option<(Option<u32>, &Row)> {
        match self.ordinal(id) {
            Some(ordinal) => Some((Some(ordinal), self.rows.get(ordinal as usize)?)),
            None => Some((None, self.waiting.get(&id)?)),
        }
    }

    /// The row of a device, with its ordinal once it has one.
    pub(super) fn row_mut(&mut self, id: DeviceId, tenant: u16) -> (Option<u32>, &mut Row) {
        match self.ordinal(id) {
            Some(ordinal) => {
                (Some(ordinal), self.rows.get_mut(ordinal as usize).expect("who has an ordinal has a row"))
            }
            None => (None, self.waiting.entry(id).or_insert_with(|| Row::new(id, tenant))),
        }
    }

    /// Gives a device its ordinal.
    ///
    /// # Errors
    /// When there are no ordinals left.
    pub(super) fn push(&mut self, id: DeviceId, tenant: u16) -> Result<u32, String> {
        let ordinal = u32::try_from(self.rows.len()).map_err(|_| "more devices than ordinals")?;
        let mut row = self.waiting.remove(&id).unwrap_or_else(|| Row::new(id, tenant));
        row.tenant = tenant;
        if row.stale {
            self.stale.insert(ordinal);
        }
        self.place(ordinal, row.facts.platform);
        self.rows.push(row);
        let Self { rows, ordinals, .. } = self;
        let of = |at: &u32| rows.get(*at as usize).map_or(0, |row| hash(row.id));
        ordinals.insert_unique(hash(id), ordinal, of);
        Ok(ordinal)
    }

    /// Notes a device's platform.
    pub(super) fn place(&mut self, ordinal: u32, platform: Option<Platform>) {
        for (other, devices) in PLATFORMS.into_iter().zip(&mut self.platforms) {
            if Some(other) == platform {
                devices.insert(ordinal);
            } else {
                devices.remove(ordinal);
            }
        }
    }

    /// Devices that are known to be of another platform.
    pub(super) fn others(&self, platform: Platform) -> RoaringBitmap {
        let others = PLATFORMS.into_iter().zip(&self.platforms).filter(|(other, _)| *other != platform);
        others.fold(RoaringBitmap::new(), |all, (_, devices)| all | devices)
    }

    /// Devices that are registered.
    pub(super) fn registered(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        all - &self.gone
    }

    /// Every device that anything is known of.
    pub(super) fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(self.waiting.values())
    }
}
