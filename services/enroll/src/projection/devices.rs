//! The device inventory, in the order devices were onboarded: compact enough for a million devices in memory.
//!
//! Three logs meet here, in no order between them. Enroll's makes the rows; what identity says of a device that is not
//! here yet waits for it ([`trust`]); when ordinals were last seen is kept by ordinal ([`seen`]), whether or not the
//! device of that ordinal is known. What devices share is kept once ([`shared`], [`said`]), and what lists and
//! re-decisions ask for is indexed ([`index`], [`classes`]).

mod classes;
mod evolve;
mod index;
mod row;
mod rows;
mod said;
mod seats;
mod seen;
mod shared;
#[cfg(test)]
pub(crate) mod tests;
mod trust;

use hashbrown::HashTable;
use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::policy::v1::DevicesSeen;
use muster_types::{Aggregate, DeviceId, Positions, Service, TenantId, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher as _;

use crate::domain::enrollment::{Enrollment, Event};
use crate::store::{self, Key};

pub use index::Facet;
pub use row::{Device, Rare, Trust};
use row::{NO_ORDINAL, Row};
use rows::{Tables, newcomer};
pub use seats::Preview;
use seen::Seen;
use trust::Said;

/// The view: what devices say of themselves, and what came of their enrollment.
#[derive(Debug, Default)]
pub struct Devices {
    rows: Vec<Row>,
    by_id: HashTable<u32>,
    tables: Tables,
    index: index::Index,
    classes: classes::Classes,
    rare: FxHashMap<u32, Rare>,
    seen: Seen,
    /// What identity said of devices that were not onboarded yet.
    early: FxHashMap<DeviceId, Trust>,
    /// The next ordinal.
    ordinal: u32,
}

impl Devices {
    /// One device of a tenant.
    #[must_use]
    pub fn get(&self, tenant: TenantId, id: DeviceId) -> Option<Device> {
        let number = self.number(id)?;
        Some(self.device(number)).filter(|device| device.tenant == tenant)
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The devices of a tenant, by number.
    #[must_use]
    pub fn of_tenant(&self, tenant: TenantId) -> RoaringBitmap {
        let known = self.tables.tenants.find(&tenant);
        known.map(|tenant| self.index.with(Facet::Tenant(tenant)).clone()).unwrap_or_default()
    }

    /// Devices with a facet.
    #[must_use]
    pub fn with(&self, facet: Facet) -> &RoaringBitmap {
        self.index.with(facet)
    }

    /// Devices with a tag; with any when none is named.
    #[must_use]
    pub fn tagged(&self, tag: Option<&str>) -> &RoaringBitmap {
        tag.map_or_else(|| self.index.tagged(), |tag| self.index.with_tag(tag))
    }

    /// Whether a device has a facet.
    #[must_use]
    pub fn has(&self, number: u32, facet: Facet) -> bool {
        self.rows[number as usize].facets().contains(&facet)
    }

    /// A device's tags.
    #[must_use]
    pub fn tags(&self, number: u32) -> &[Box<str>] {
        self.tables.tags.get(self.rows[number as usize].tags)
    }

    /// A device's host name.
    #[must_use]
    pub fn hostname(&self, number: u32) -> &str {
        said::hostname(&self.rows[number as usize].own)
    }

    /// A device's distribution or edition id, and its version.
    #[must_use]
    pub fn system(&self, number: u32) -> (&str, &str) {
        let common = self.tables.common.get(self.rows[number as usize].common);
        (&common.os_id, &common.os_version)
    }

    /// When a device was first onboarded.
    #[must_use]
    pub fn onboard_time(&self, number: u32) -> Timestamp {
        self.rows[number as usize].onboard_time
    }

    /// When a device was last seen, in seconds since 1970.
    #[must_use]
    pub fn last_seen(&self, number: u32) -> u32 {
        let row = &self.rows[number as usize];
        row.heard.max(if row.ordinal == NO_ORDINAL { 0 } else { self.seen.at(row.ordinal) })
    }

    /// Ids of devices, by number.
    pub fn ids(&self, numbers: impl IntoIterator<Item = u32>) -> impl Iterator<Item = DeviceId> {
        numbers.into_iter().map(|number| self.rows[number as usize].id)
    }

    /// How many kinds of devices there are, as far as decisions tell them apart.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.classes.count()
    }

    /// The number of a device.
    #[must_use]
    pub fn number(&self, id: DeviceId) -> Option<u32> {
        let same = |number: &u32| self.rows[*number as usize].id == id;
        self.by_id.find(hash(id), same).copied()
    }

    fn enrollment(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let damaged = |reason: String| FoldError::new(event, reason);
        let Some(change) = Enrollment::decode(event).map_err(damaged)? else { return Ok(()) };
        let (id, at) = (DeviceId::from_uuid(event.stream.id), event.context.time);
        let Some(number) = self.number(id) else {
            let Event::Onboarded { facts, .. } = change else {
                return Err(damaged("the device was not onboarded".into()));
            };
            if self.early.contains_key(&id) {
                dirty.mark(store::early_key(id));
            }
            let trust = self.early.remove(&id).unwrap_or_default();
            self.insert(newcomer((event.stream.tenant, id), facts, trust, at))
                .map_err(|error| damaged(error.to_string()))?;
            dirty.mark(store::device_key(self.count() - 1));
            return Ok(());
        };
        self.evolve(number, change, at);
        dirty.mark(store::device_key(number));
        Ok(())
    }

    fn registration(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let Some(said) = Said::of(event)? else { return Ok(()) };
        let id = DeviceId::from_uuid(event.stream.id);
        let Some(number) = self.number(id) else {
            self.early.entry(id).or_default().evolve(said, &mut self.ordinal);
            dirty.mark(store::early_key(id));
            return Ok(());
        };
        let mut trust = self.trust(number);
        trust.evolve(said, &mut self.ordinal);
        self.update(number, |row, tables| {
            row.ordinal = trust.ordinal.unwrap_or(NO_ORDINAL);
            row.kind = trust.kind;
            row.join_type = rows::swap(&mut tables.texts, row.join_type, trust.join_type);
        });
        dirty.mark(store::device_key(number));
        Ok(())
    }

    fn presence(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.kind.as_str() != trust::kind::SEEN {
            return Ok(());
        }
        let DevicesSeen { devices } = trust::decoded(event)?;
        let ordinals = RoaringBitmap::deserialize_from(&devices[..])
            .map_err(|error| FoldError::new(event, error.to_string()))?;
        for block in self.seen.note(&ordinals, event.context.time) {
            dirty.mark(store::seen_key(block));
        }
        Ok(())
    }

    fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a view of 4 billion rows does not fit in memory")
    }
}

fn hash(id: DeviceId) -> u64 {
    FxBuildHasher.hash_one(id)
}

impl View for Devices {
    const NAME: &'static str = "devices";
    const CONTRACT: u32 = 2;
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity, Service::Policy];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        match event.stream.aggregate {
            Aggregate::Enrollment => self.enrollment(event, dirty),
            Aggregate::Registration => self.registration(event, dirty),
            Aggregate::Presence => self.presence(event, dirty),
            Aggregate::OnboardingToken
            | Aggregate::TenantSettings
            | Aggregate::Group
            | Aggregate::TrustAnchor
            | Aggregate::DirectoryDevice
            | Aggregate::Policy
            | Aggregate::Assignment
            | Aggregate::Sync
            | Aggregate::Session
            | Aggregate::Waiver
            | Aggregate::CheckInSettings
            | Aggregate::Resolution
            | Aggregate::Delivery
            | Aggregate::ReportSettings
            | Aggregate::DeviceStatus => Ok(()),
        }
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..self.count()).for_each(|number| row(&store::device_key(number)));
        self.seen.blocks().for_each(|block| row(&store::seen_key(block)));
        self.early.keys().for_each(|id| row(&store::early_key(*id)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        match store::read_key(key)? {
            Key::Device(number) if number < self.count() => Some(store::encode_device(self.stored(number))),
            Key::Seen(block) => self.seen.encode(block),
            Key::Early(id) => self.early.get(&id).map(store::encode_trust),
            Key::Device(_) | Key::Token(_) | Key::Settings(_) => None,
        }
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match store::read_key(key) {
            Some(Key::Device(number)) if number == self.count() => {
                self.insert(store::decode_device(value)?).map_err(|error| error.to_string())
            }
            Some(Key::Device(_)) => Err(format!("device {} is missing", self.rows.len())),
            Some(Key::Seen(block)) => self.seen.load(block, value),
            Some(Key::Early(id)) => {
                self.early.insert(id, store::decode_trust(value)?);
                Ok(())
            }
            Some(Key::Token(_) | Key::Settings(_)) | None => Err("not a key of this view".into()),
        }
    }

    fn loaded(&mut self, _positions: &Positions) {
        let known = self.rows.iter().filter(|row| row.ordinal != NO_ORDINAL).count();
        let early = self.early.values().filter(|trust| trust.ordinal.is_some()).count();
        self.ordinal = u32::try_from(known + early).expect("there are no more ordinals than devices");
    }
}
