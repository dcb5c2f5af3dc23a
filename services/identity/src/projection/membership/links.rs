//! Which device is which of a directory's.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use muster_types::DirectoryDeviceId;
use rustc_hash::FxBuildHasher;

/// Devices, by ordinal, that are registered in a directory, or were when they were removed. Each of a directory's is one
/// device's.
#[derive(Debug, Default)]
pub(super) struct Links {
    of: Vec<Option<DirectoryDeviceId>>,
    by_id: HashTable<u32>,
}

impl Links {
    /// The device that is this one of a directory's.
    pub(super) fn find(&self, id: DirectoryDeviceId) -> Option<u32> {
        self.by_id.find(hash(id), |ordinal| self.get(*ordinal) == Some(id)).copied()
    }

    /// What a device is to a directory.
    pub(super) fn get(&self, ordinal: u32) -> Option<DirectoryDeviceId> {
        self.of.get(ordinal as usize).copied().flatten()
    }

    /// Links a device that is not linked to one of a directory's that is not linked.
    pub(super) fn insert(&mut self, id: DirectoryDeviceId, ordinal: u32) {
        if ordinal as usize >= self.of.len() {
            self.of.resize(ordinal as usize + 1, None);
        }
        self.of[ordinal as usize] = Some(id);
        let of = &self.of;
        let rehash = |ordinal: &u32| of[*ordinal as usize].map(hash).unwrap_or_default();
        self.by_id.insert_unique(hash(id), ordinal, rehash);
    }

    /// Takes a device's link away.
    pub(super) fn remove(&mut self, ordinal: u32) {
        let Some(id) = self.of.get_mut(ordinal as usize).and_then(Option::take) else { return };
        if let Ok(entry) = self.by_id.find_entry(hash(id), |other| *other == ordinal) {
            entry.remove();
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.of.capacity() * size_of::<Option<DirectoryDeviceId>>() + self.by_id.allocation_size()
    }
}

fn hash(id: DirectoryDeviceId) -> u64 {
    FxBuildHasher.hash_one(id)
}
