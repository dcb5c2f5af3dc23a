//! Devices that were ever trusted, by ordinal: the k-th of them has the ordinal k - 1.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Aggregate, DeviceId, Service, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;

use crate::domain::registration::{Kind, Registered, Registration, Standing};
use crate::store;

/// The view.
#[derive(Debug, Default)]
pub struct Registrations {
    rows: Vec<Row>,
    /// Ordinals by device: rows are asked whether it is theirs.
    by_device: HashTable<u32>,
    /// Ordinals by registration, of those that have a full one and were not removed.
    by_registration: HashTable<u32>,
    full: RoaringBitmap,
    quarantined: RoaringBitmap,
    revoked: RoaringBitmap,
    removed: RoaringBitmap,
}

/// A device that was ever trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The device.
    pub device: DeviceId,
    /// What is known of its registration.
    pub registered: Registered,
    /// When it was first trusted.
    pub create_time: Timestamp,
    /// When that last changed.
    pub update_time: Timestamp,
}

/// Which registrations a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All but removed ones.
    Present,
    /// Trusted ones.
    Active,
    /// Those that may be cloned.
    Quarantined,
    /// Those whose certificates were ended.
    Revoked,
    /// Removed ones.
    Removed,
}

impl Registrations {
    /// A device's ordinal.
    #[must_use]
    pub fn ordinal(&self, device: DeviceId) -> Option<u32> {
        let is = |ordinal: &u32| self.rows[*ordinal as usize].device == device;
        self.by_device.find(hash_device(device), is).copied()
    }

    /// The device with an ordinal.
    #[must_use]
    pub fn device(&self, ordinal: u32) -> Option<DeviceId> {
        self.row(ordinal).map(|row| row.device)
    }

    /// What is known of the device with an ordinal.
    #[must_use]
    pub fn row(&self, ordinal: u32) -> Option<&Row> {
        self.rows.get(ordinal as usize)
    }

    /// What is known of a device.
    #[must_use]
    pub fn get(&self, device: DeviceId) -> Option<(u32, &Row)> {
        let ordinal = self.ordinal(device)?;
        Some((ordinal, self.row(ordinal)?))
    }

    /// The device that has a full registration. One that was removed has none. Should two have the same, the one that was
    /// trusted first.
    #[must_use]
    pub fn holder(&self, registration: &str) -> Option<DeviceId> {
        let is = |ordinal: &u32| registration_of(&self.rows[*ordinal as usize]) == Some(registration);
        let holders = self.by_registration.iter_hash(hash_text(registration)).copied();
        self.device(holders.filter(is).min()?)
    }

    /// Ordinals of registrations, of one kind or any.
    #[must_use]
    pub fn select(&self, which: Which, kind: Option<Kind>) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.count());
        let standing = match which {
            Which::Present => all - &self.removed,
            Which::Active => all - &self.removed - &self.revoked - &self.quarantined,
            Which::Quarantined => &self.quarantined - &self.revoked,
            Which::Revoked => &self.revoked - &self.removed,
            Which::Removed => self.removed.clone(),
        };
        match kind {
            None => standing,
            Some(Kind::Full) => standing & &self.full,
            Some(Kind::Synthetic) => standing - &self.full,
        }
    }

    /// Whether a device was removed, and did not come back.
    #[must_use]
    pub fn is_removed(&self, ordinal: u32) -> bool {
        self.removed.contains(ordinal)
    }

    /// Devices that were removed, and did not come back.
    #[must_use]
    pub const fn removed(&self) -> &RoaringBitmap {
        &self.removed
    }

    /// How many devices were ever trusted.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a view of 4 billion rows does not fit in memory")
    }

    /// Bytes that the view takes, without what the allocator adds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let texts = |row: &Row| {
            let proven =
                row.registered.proven.as_deref().map_or(0, |proven| {
                    size_of_val(proven) + proven.registration.len() + proven.join_type.len()
                });
            proven + row.registered.revoked.as_deref().map_or(0, str::len)
        };
        let bitmaps = [&self.full, &self.quarantined, &self.revoked, &self.removed];
        self.rows.capacity() * size_of::<Row>()
            + self.rows.iter().map(texts).sum::<usize>()
            + self.by_device.allocation_size()
            + self.by_registration.allocation_size()
            + bitmaps.map(RoaringBitmap::serialized_size).iter().sum::<usize>()
    }

    /// Puts a row in the place of the one with its ordinal, or behind the last.
    fn put(&mut self, ordinal: u32, row: Row) {
        self.forget_registration(ordinal);
        self.index(ordinal, &row);
        if let Some(place) = self.rows.get_mut(ordinal as usize) {
            *place = row;
        } else {
            let hash = hash_device(row.device);
            self.rows.push(row);
            let rows = &self.rows;
            let rehash = |ordinal: &u32| hash_device(rows[*ordinal as usize].device);
            self.by_device.insert_unique(hash, ordinal, rehash);
        }
        self.remember_registration(ordinal);
    }

    fn index(&mut self, ordinal: u32, row: &Row) {
        let standing = row.registered.standing();
        let set = |bitmap: &mut RoaringBitmap, is: bool| {
            if is {
                bitmap.insert(ordinal)
            } else {
                bitmap.remove(ordinal)
            };
        };
        set(&mut self.full, row.registered.kind() == Kind::Full);
        set(&mut self.quarantined, row.registered.quarantined);
        set(&mut self.revoked, standing == Standing::Revoked);
        set(&mut self.removed, matches!(standing, Standing::Removed(_)));
    }

    fn forget_registration(&mut self, ordinal: u32) {
        let Some(registration) = self.rows.get(ordinal as usize).and_then(registration_of) else { return };
        let hash = hash_text(registration);
        if let Ok(entry) = self.by_registration.find_entry(hash, |other| *other == ordinal) {
            entry.remove();
        }
    }

    fn remember_registration(&mut self, ordinal: u32) {
        let Some(registration) = registration_of(&self.rows[ordinal as usize]) else { return };
        let (hash, rows) = (hash_text(registration), &self.rows);
        let text = |ordinal: &u32| registration_of(&rows[*ordinal as usize]).unwrap_or_default();
        self.by_registration.insert_unique(hash, ordinal, |ordinal| hash_text(text(ordinal)));
    }
}

/// What a full registration that was not removed is known by.
fn registration_of(row: &Row) -> Option<&str> {
    let Registered { proven, removed: None, .. } = &row.registered else { return None };
    proven.as_deref().map(|proven| &*proven.registration)
}

fn hash_device(device: DeviceId) -> u64 {
    FxBuildHasher.hash_one(device)
}

fn hash_text(text: &str) -> u64 {
    FxBuildHasher.hash_one(text)
}

impl View for Registrations {
    const NAME: &'static str = "registrations";
    const CONTRACT: u32 = 2;
    const SOURCES: &'static [Service] = &[Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::Registration {
            return Ok(());
        }
        let damaged = |reason| FoldError::new(event, reason);
        let Some(change) = Registration::decode(event).map_err(damaged)? else { return Ok(()) };
        let device = DeviceId::from_uuid(event.stream.id);
        let known = self.ordinal(device);
        let ordinal = known.unwrap_or_else(|| self.count());
        let row = self.row(ordinal).cloned();
        let create_time = row.as_ref().map_or(event.context.time, |row| row.create_time);
        let mut registration = Registration::from(row.map(|row| row.registered));
        registration.evolve(&change);
        let registered = registration
            .into_registered()
            .ok_or_else(|| FoldError::new(event, "the device was never trusted"))?;
        self.put(ordinal, Row { device, registered, create_time, update_time: event.context.time });
        dirty.mark(store::ordinal_key(ordinal));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..self.count()).for_each(|ordinal| row(&store::ordinal_key(ordinal)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.row(store::ordinal(key)?).map(store::encode_registration)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let next = self.count();
        if store::ordinal(key) != Some(next) {
            return Err(format!("the device with ordinal {next} is missing"));
        }
        self.put(next, store::decode_registration(value)?);
        Ok(())
    }
}
