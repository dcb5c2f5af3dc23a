//! Trust anchors, what directories say, and which devices match.

use std::collections::BTreeSet;
use std::ops::Deref;

use muster_runtime::request::Page;
use muster_types::{DeviceId, DirectoryDeviceId, HardwareKey, TenantId, TrustAnchorId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Queries, Rows};
use crate::domain::directory_device::Record;
use crate::domain::matching::{Candidate, Match, same, settle};
use crate::domain::registration::Proven;
use crate::projection::directory::DirectoryRow;
use crate::projection::registrations::Row;
use crate::projection::trust_anchors::AnchorRow;
use crate::projection::{Directory, Hardware, Registrations};

/// A directory device, with what is known here of who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its id.
    pub id: DirectoryDeviceId,
    /// What the directory says.
    pub row: DirectoryRow,
    /// The device that has its registration.
    pub holder: Option<DeviceId>,
}

/// What is known of a record's directory device, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// What was known before; none of one that is new.
    pub row: Option<DirectoryRow>,
    /// What is to be done.
    pub outcome: Match,
    /// The device that has the registration with another join type than the directory says.
    pub misjoined: Option<DeviceId>,
}

impl Weighed {
    /// Whether all that is to be done was done: nobody is to be promoted, and the question, if there is one, is noted.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        if self.misjoined.is_some() {
            return false;
        }
        let noted = self.row.as_ref().map_or(&[][..], |row| &row.known.ambiguous);
        match &self.outcome {
            Match::Settled => noted.is_empty(),
            Match::Promote(_) => false,
            Match::Ambiguous(devices) => noted == &devices[..],
        }
    }
}

impl Queries {
    /// The trust anchor of a tenant that has this name.
    #[must_use]
    pub fn trust_anchor_named(&self, tenant: TenantId, name: &str) -> Option<TrustAnchorId> {
        self.trust_anchors.read().named(tenant, name)
    }

    /// One trust anchor of a tenant.
    #[must_use]
    pub fn trust_anchor(&self, tenant: TenantId, id: TrustAnchorId) -> Option<AnchorRow> {
        self.trust_anchors.read().get(id).filter(|row| row.tenant == tenant).cloned()
    }

    /// A tenant's trust anchors, by id.
    #[must_use]
    pub fn trust_anchors(
        &self,
        tenant: TenantId,
        page: Page<TrustAnchorId>,
    ) -> Rows<AnchorRow, TrustAnchorId> {
        let anchors = self.trust_anchors.read();
        let rows = anchors.all().filter(|row| row.tenant == tenant);
        let rows = rows.filter(|row| page.mark.is_none_or(|mark| row.id > mark));
        Rows::take(page.rows, rows.map(|row| (row.id, row.clone())))
    }

    /// Every tenant's trust anchors, by id. There are few.
    #[must_use]
    pub fn all_trust_anchors(&self) -> Vec<AnchorRow> {
        self.trust_anchors.read().all().cloned().collect()
    }

    /// What a tenant's directory says of a device, unless it was removed.
    #[must_use]
    pub fn directory_device(&self, tenant: TenantId, id: DirectoryDeviceId) -> Option<Told> {
        let row = self.directory.read().get(id)?;
        let holder = self.holder(&row.known.record.registration());
        (row.tenant == tenant && !row.known.removed).then_some(Told { id, row, holder })
    }

    /// What a tenant's directory says of its devices, by id, or of those only that an admin must decide on.
    #[must_use]
    pub fn directory_devices(
        &self,
        tenant: TenantId,
        ambiguous_only: bool,
        page: Page<DirectoryDeviceId>,
    ) -> Rows<Told, DirectoryDeviceId> {
        let (registrations, directory) = (self.registrations.read(), self.directory.read());
        let rows = directory.after(tenant, ambiguous_only, page.mark).map(|(id, row)| {
            let holder = registrations.holder(&row.known.record.registration());
            (id, Told { id, row, holder })
        });
        Rows::take(page.rows, rows)
    }

    /// Join type of a tenant's directory device by its registration's id, if the directory told of it.
    #[must_use]
    pub fn join_type(&self, tenant: TenantId, directory_id: &str) -> Option<Box<str>> {
        let directory = self.directory.read();
        let row = directory.get(DirectoryDeviceId::of(tenant, directory_id))?;
        let said = &row.known.record.join_type;
        (!row.known.removed && !said.is_empty()).then(|| said.clone())
    }

    /// The full registration of the one directory device that is the same hardware, if there is exactly one, nobody else
    /// has it, and no other device is that hardware; also when the device has it already.
    #[must_use]
    pub fn directory_match(
        &self,
        tenant: TenantId,
        device: DeviceId,
        keys: &[HardwareKey],
    ) -> Option<Proven> {
        let weighing = self.weighing(tenant, &[]);
        let records = weighing.directory.matching(tenant, keys);
        let mut fitting = records.into_iter().filter_map(|id| {
            let record = weighing.directory.get(id)?.known.record;
            let holder = weighing.registrations.holder(&record.registration());
            if holder == Some(device) {
                return Some(record);
            }
            let mut candidates = weighing.candidates(&record);
            candidates.retain(|candidate| candidate.device != device);
            candidates.push(weighing.candidate(device));
            let rivals = weighing.rivals(id, keys);
            (settle(holder, &candidates, rivals) == Match::Promote(device)).then_some(record)
        });
        let record = fitting.next()?;
        Some(Proven { registration: record.registration().into(), join_type: record.join_type })
    }

    /// The directory devices whose match may be another one now that something happened to this device.
    #[must_use]
    pub fn directory_devices_like_device(
        &self,
        tenant: TenantId,
        device: DeviceId,
    ) -> BTreeSet<DirectoryDeviceId> {
        let (hardware, directory) = (self.hardware.read(), self.directory.read());
        directory.matching(tenant, hardware.keys(device))
    }

    /// The directory devices whose match may be another one now that something happened to this one.
    #[must_use]
    pub fn directory_devices_like(
        &self,
        tenant: TenantId,
        id: DirectoryDeviceId,
    ) -> BTreeSet<DirectoryDeviceId> {
        let directory = self.directory.read();
        let keys = directory.get(id).map(|row| row.known.record.hardware_keys).unwrap_or_default();
        let mut like = directory.matching(tenant, &keys);
        like.insert(id);
        like
    }

    /// Records that the directory said last, of those that were not removed.
    #[must_use]
    pub fn directory_records(
        &self,
        tenant: TenantId,
        ids: impl IntoIterator<Item = DirectoryDeviceId>,
    ) -> Vec<Record> {
        let directory = self.directory.read();
        ids.into_iter()
            .filter_map(|id| directory.get(id))
            .filter(|row| row.tenant == tenant && !row.known.removed)
            .map(|row| row.known.record)
            .collect()
    }

    /// Says what is to be done about records that are taken over together, in their order.
    #[must_use]
    pub fn weigh(&self, tenant: TenantId, records: &[Record]) -> Vec<Weighed> {
        let weighing = self.weighing(tenant, records);
        let weighed = |record: &Record| {
            let id = DirectoryDeviceId::of(tenant, &record.directory_id);
            let row = weighing.directory.get(id);
            Weighed { row, outcome: weighing.outcome(id, record), misjoined: weighing.misjoined(record) }
        };
        records.iter().map(weighed).collect()
    }

    fn weighing<'a>(
        &'a self,
        tenant: TenantId,
        records: &'a [Record],
    ) -> Weighing<
        'a,
        impl Deref<Target = Registrations>,
        impl Deref<Target = Hardware>,
        impl Deref<Target = Directory>,
    > {
        let mut by_key: FxHashMap<HardwareKey, Vec<&Record>> = FxHashMap::default();
        for record in records {
            record.hardware_keys.iter().for_each(|key| by_key.entry(*key).or_default().push(record));
        }
        Weighing {
            tenant,
            registrations: self.registrations.read(),
            hardware: self.hardware.read(),
            directory: self.directory.read(),
            together: records
                .iter()
                .map(|record| DirectoryDeviceId::of(tenant, &record.directory_id))
                .collect(),
            by_key,
        }
    }
}

/// The views at one moment, and the records that are about to be taken over.
struct Weighing<'a, R, H, D> {
    tenant: TenantId,
    registrations: R,
    hardware: H,
    directory: D,
    /// Directory devices whose rows in the view no longer count.
    together: FxHashSet<DirectoryDeviceId>,
    by_key: FxHashMap<HardwareKey, Vec<&'a Record>>,
}

impl<R, H, D> Weighing<'_, R, H, D>
where
    R: Deref<Target = Registrations>,
    H: Deref<Target = Hardware>,
    D: Deref<Target = Directory>,
{
    fn outcome(&self, id: DirectoryDeviceId, record: &Record) -> Match {
        let holder = self.registrations.holder(&record.registration());
        let candidates = self.candidates(record);
        let rivals = match candidates[..] {
            [only] if holder.is_none() && !only.full => self.rivals(id, self.hardware.keys(only.device)),
            _ => false,
        };
        settle(holder, &candidates, rivals)
    }

    /// A device may show a certificate before its directory tells of it, and what it is joined by is only guessed then.
    fn misjoined(&self, record: &Record) -> Option<DeviceId> {
        let holder = self.registrations.holder(&record.registration())?;
        let (_, row) = self.registrations.get(holder)?;
        let known = row.registered.proven.as_deref()?;
        (!record.join_type.is_empty() && known.join_type != record.join_type).then_some(holder)
    }

    fn candidates(&self, record: &Record) -> Vec<Candidate> {
        let devices = self.hardware.matching(&record.hardware_keys);
        devices.into_iter().map(|device| self.candidate(device)).collect()
    }

    fn candidate(&self, device: DeviceId) -> Candidate {
        let full = |row: &Row| row.registered.removed.is_none() && row.registered.proven.is_some();
        Candidate { device, full: self.registrations.get(device).is_some_and(|(_, row)| full(row)) }
    }

    /// Whether records other than this one, which nobody holds, are of a device's hardware too.
    fn rivals(&self, id: DirectoryDeviceId, keys: &[HardwareKey]) -> bool {
        let open = |record: &Record| self.registrations.holder(&record.registration()).is_none();
        let known = self.directory.matching(self.tenant, keys);
        let known = known
            .into_iter()
            .filter(|other| *other != id && !self.together.contains(other))
            .filter_map(|other| self.directory.get(other))
            .any(|row| open(&row.known.record));
        let of_key = |key: &HardwareKey| self.by_key.get(key).into_iter().flatten();
        known
            || keys.iter().flat_map(of_key).any(|other| {
                DirectoryDeviceId::of(self.tenant, &other.directory_id) != id
                    && same(&other.hardware_keys, keys)
                    && open(other)
            })
    }
}
