//! Rows: taken apart into what is shared and what is not, put together again, and kept in step with the indexes.

use muster_proto::enroll::v1 as pb;
use muster_types::{DeviceId, TenantId, Timestamp};

use super::row::{Device, NO_ORDINAL, Rare, Row, Trust, device_type};
use super::said::{self, Common};
use super::seen::seconds;
use super::shared::Shared;
use super::{Devices, hash};
use crate::domain::facts::DeviceFacts;
use crate::domain::verdict::{DeviceClass, Traits};
use crate::wire::UnreadableFacts;

/// What rows share.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) tenants: Shared<TenantId>,
    pub(super) common: Shared<Common>,
    pub(super) tags: Shared<Box<[Box<str>]>>,
    /// Messages, join types, and SPIFFE IDs up to the device's own part.
    pub(super) texts: Shared<Box<str>>,
}

/// Stands in a shared SPIFFE ID for the device's own part.
const OWN_PART: char = '\u{0}';

impl Tables {
    /// Holds a SPIFFE ID, shared with all devices whose own differ in the device's id only.
    pub(super) fn hold_spiffe_id(&mut self, id: DeviceId, spiffe_id: &str) -> u32 {
        let shared = match spiffe_id.strip_suffix(&id.to_string()) {
            Some(shared) => format!("{shared}{OWN_PART}"),
            None => spiffe_id.to_owned(),
        };
        self.texts.hold(shared.into())
    }

    /// Holds another SPIFFE ID in the place of a device's.
    pub(super) fn swap_spiffe_id(&mut self, row: &Row, spiffe_id: &str) -> u32 {
        let number = self.hold_spiffe_id(row.id, spiffe_id);
        self.texts.let_go(row.spiffe_id);
        number
    }

    fn spiffe_id(&self, row: &Row) -> Box<str> {
        let text = self.texts.get(row.spiffe_id);
        text.strip_suffix(OWN_PART)
            .map_or_else(|| text.clone(), |shared| format!("{shared}{}", row.id).into())
    }
}

/// Holds another value in the place of one.
pub(super) fn swap<T: std::hash::Hash + Eq>(shared: &mut Shared<T>, held: u32, value: T) -> u32 {
    let number = shared.hold(value);
    shared.let_go(held);
    number
}

/// A device that was just onboarded.
pub(super) fn newcomer(
    (tenant, id): (TenantId, DeviceId),
    facts: DeviceFacts,
    trust: Trust,
    at: Timestamp,
) -> Device {
    Device {
        tenant,
        id,
        facts_digest: facts.digest(),
        status: pb::EnrollmentStatus::Pending,
        code: muster_types::EnrollmentCode::Pending,
        message: Box::default(),
        managed_by: pb::ManagedBy::Nobody,
        authority_change_time: at,
        spiffe_id: Box::default(),
        onboard_time: at,
        facts_change_time: at,
        device_type: device_type(DeviceClass::of(&facts)),
        facts: facts.into(),
        last_seen: seconds(at),
        tags: Box::default(),
        trust,
        rare: Rare::default(),
    }
}

impl Devices {
    /// Takes a device in, behind those that are here.
    ///
    /// # Errors
    /// When its facts cannot be understood.
    pub(super) fn insert(&mut self, device: Device) -> Result<(), UnreadableFacts> {
        let Device {
            tenant,
            id,
            facts,
            facts_digest,
            status,
            code,
            message,
            managed_by,
            authority_change_time,
            spiffe_id,
            onboard_time,
            facts_change_time,
            device_type: _,
            last_seen,
            tags,
            trust: Trust { ordinal, kind, join_type },
            rare,
        } = device;
        let traits = Traits::of(&DeviceFacts::try_from(facts.clone())?);
        let device_type = device_type(traits.class);
        let (number, tenant) = (self.count(), self.tables.tenants.hold(tenant));
        let platform = facts.platform();
        let (common, own) = said::split(facts);
        let row = Row {
            id,
            facts_digest,
            own,
            onboard_time,
            facts_change_time,
            authority_change_time,
            heard: last_seen,
            ordinal: ordinal.unwrap_or(NO_ORDINAL),
            tenant,
            common: self.tables.common.hold(common),
            class: self.classes.hold(tenant, traits),
            tags: self.tables.tags.hold(tags),
            message: self.tables.texts.hold(message),
            spiffe_id: self.tables.hold_spiffe_id(id, &spiffe_id),
            join_type: self.tables.texts.hold(join_type),
            code,
            status,
            managed_by,
            device_type,
            platform,
            kind,
        };
        self.index.moved(number, None, &row.facets());
        self.index.retagged(number, &[], self.tables.tags.get(row.tags));
        self.classes.moved(number, None, (row.class, row.code));
        if rare != Rare::default() {
            self.rare.insert(number, rare);
        }
        self.push(row);
        Ok(())
    }

    fn push(&mut self, row: Row) {
        let (number, id) = (self.count(), row.id);
        // Grown by an eighth and not doubled: half of a large fleet's room would stand empty.
        if self.rows.len() == self.rows.capacity() {
            self.rows.reserve_exact((self.rows.len() / 8).max(64));
        }
        self.rows.push(row);
        let rows = &self.rows;
        self.by_id.insert_unique(hash(id), number, |number| hash(rows[*number as usize].id));
    }

    /// Changes a row, and keeps the indexes in step. The change lets go of all it replaces but class and tags, which the
    /// indexes still need.
    pub(super) fn update(&mut self, number: u32, change: impl FnOnce(&mut Row, &mut Tables)) {
        let row = &mut self.rows[number as usize];
        let (facets, cell, tags) = (row.facets(), (row.class, row.code), row.tags);
        change(row, &mut self.tables);
        self.index.moved(number, Some(&facets), &row.facets());
        self.classes.moved(number, Some(cell), (row.class, row.code));
        if row.tags != tags {
            self.index.retagged(number, self.tables.tags.get(tags), self.tables.tags.get(row.tags));
            self.tables.tags.let_go(tags);
        }
        if row.class != cell.0 {
            self.classes.let_go(cell.0);
        }
    }

    /// A device, put together.
    #[must_use]
    pub fn device(&self, number: u32) -> Device {
        let row = &self.rows[number as usize];
        let Tables { tenants, common, tags, texts } = &self.tables;
        let facts = said::join(common.get(row.common), &row.own);
        Device {
            tenant: *tenants.get(row.tenant),
            id: row.id,
            facts: facts.expect("what was taken apart here can be put together"),
            facts_digest: row.facts_digest,
            status: row.status,
            code: row.code,
            message: texts.get(row.message).clone(),
            managed_by: row.managed_by,
            authority_change_time: row.authority_change_time,
            spiffe_id: self.tables.spiffe_id(row),
            onboard_time: row.onboard_time,
            facts_change_time: row.facts_change_time,
            device_type: row.device_type,
            last_seen: self.last_seen(number),
            tags: tags.get(row.tags).clone(),
            trust: self.trust(number),
            rare: self.rare.get(&number).cloned().unwrap_or_default(),
        }
    }

    /// A device as it is stored: when it was last seen is stored elsewhere.
    pub(super) fn stored(&self, number: u32) -> Device {
        Device { last_seen: self.rows[number as usize].heard, ..self.device(number) }
    }

    pub(super) fn trust(&self, number: u32) -> Trust {
        let row = &self.rows[number as usize];
        Trust {
            ordinal: (row.ordinal != NO_ORDINAL).then_some(row.ordinal),
            kind: row.kind,
            join_type: self.tables.texts.get(row.join_type).clone(),
        }
    }
}
