//! What directories say of their devices, by id and by hardware.
//!
//! There may be as many as devices, and each is rarely looked at: rows are held as they are stored, in one piece, and read
//! when they are needed. A record of 3 hardware keys and without attributes takes about 320 bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, DirectoryDeviceId, HardwareKey, Service, TenantId, Version};

use super::hardware::{short, telling};
use crate::domain::directory_device::{DirectoryDevice, Known};
use crate::domain::matching::same;
use crate::store::directory as store;

/// The view.
#[derive(Debug, Default)]
pub struct Directory {
    /// Removed ones too: their streams go on should they come back.
    rows: BTreeMap<DirectoryDeviceId, Box<[u8]>>,
    /// Those that were not removed, by the beginning of each of their hardware keys.
    by_key: BTreeSet<(u32, DirectoryDeviceId)>,
    /// Those that an admin must decide on.
    ambiguous: BTreeSet<DirectoryDeviceId>,
}

/// A device as a directory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryRow {
    /// The tenant whose directory it is.
    pub tenant: TenantId,
    /// What is known of it.
    pub known: Known,
    /// Version of its stream.
    pub version: Version,
}

impl Directory {
    /// One directory device, also when it was removed.
    #[must_use]
    pub fn get(&self, id: DirectoryDeviceId) -> Option<DirectoryRow> {
        self.rows.get(&id).map(|row| {
            store::decode_directory_device(row).expect("only rows that were encoded or read are held")
        })
    }

    /// Bytes that the view takes, without what the allocator adds; trees' nodes are counted as three quarters full.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let row = size_of::<(DirectoryDeviceId, Box<[u8]>)>();
        let trees = self.rows.len() * row
            + self.by_key.len() * size_of::<(u32, DirectoryDeviceId)>()
            + self.ambiguous.len() * size_of::<DirectoryDeviceId>();
        trees * 4 / 3 + self.rows.values().map(|row| row.len()).sum::<usize>()
    }

    /// A tenant's directory devices of the same hardware as these keys, in order. Keys that too many share are passed over.
    #[must_use]
    pub fn matching(&self, tenant: TenantId, keys: &[HardwareKey]) -> BTreeSet<DirectoryDeviceId> {
        let sharing = |key: &HardwareKey| {
            let from = (short(key), DirectoryDeviceId::from_uuid(uuid::Uuid::nil()));
            let to = (short(key), DirectoryDeviceId::from_uuid(uuid::Uuid::max()));
            telling(self.by_key.range(from..=to).map(|(_, id)| *id))
        };
        let is = |id: &DirectoryDeviceId| {
            self.present(*id)
                .is_some_and(|row| row.tenant == tenant && same(&row.known.record.hardware_keys, keys))
        };
        keys.iter().flat_map(sharing).filter(is).collect()
    }

    /// A tenant's directory devices that were not removed, by id, those after one; or only those that an admin must decide
    /// on.
    pub fn after(
        &self,
        tenant: TenantId,
        ambiguous_only: bool,
        mark: Option<DirectoryDeviceId>,
    ) -> impl Iterator<Item = (DirectoryDeviceId, DirectoryRow)> {
        let from = (mark.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let ambiguous = ambiguous_only.then(|| self.ambiguous.range(from).copied()).into_iter().flatten();
        let all = (!ambiguous_only).then(|| self.rows.range(from).map(|(id, _)| *id)).into_iter().flatten();
        ambiguous
            .chain(all)
            .filter_map(|id| Some((id, self.present(id)?)))
            .filter(move |(_, row)| row.tenant == tenant)
    }

    fn present(&self, id: DirectoryDeviceId) -> Option<DirectoryRow> {
        self.get(id).filter(|row| !row.known.removed)
    }

    fn put(&mut self, id: DirectoryDeviceId, row: &DirectoryRow) {
        self.unlist(id);
        if !row.known.removed {
            self.by_key.extend(row.known.record.hardware_keys.iter().map(|key| (short(key), id)));
        }
        if row.known.ambiguous.is_empty() {
            self.ambiguous.remove(&id);
        } else {
            self.ambiguous.insert(id);
        }
        self.rows.insert(id, store::encode_directory_device(row).into());
    }

    fn unlist(&mut self, id: DirectoryDeviceId) {
        if let Some(row) = self.get(id) {
            for key in &row.known.record.hardware_keys {
                self.by_key.remove(&(short(key), id));
            }
        }
    }
}

impl View for Directory {
    const NAME: &'static str = "directory";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::DirectoryDevice {
            return Ok(());
        }
        let damaged = |reason| FoldError::new(event, reason);
        let id = DirectoryDeviceId::from_uuid(event.stream.id);
        let known = self.get(id).map(|row| row.known);
        let mut device = known.map(DirectoryDevice::from).unwrap_or_default();
        if let Some(change) = DirectoryDevice::decode(event).map_err(damaged)? {
            device.evolve(&change);
        }
        // An event of an unknown type has its place in the stream all the same.
        let known = device.known().ok_or_else(|| FoldError::new(event, "the directory never told of it"))?;
        let row = DirectoryRow { tenant: event.stream.tenant, known: known.clone(), version: event.version };
        self.put(id, &row);
        dirty.mark(store::directory_device_key(id));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.rows.keys().for_each(|id| row(&store::directory_device_key(*id)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(&store::directory_device(key)?).map(|row| row.to_vec())
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let id = store::directory_device(key).ok_or("not the key of a directory device")?;
        self.put(id, &store::decode_directory_device(value)?);
        Ok(())
    }
}
