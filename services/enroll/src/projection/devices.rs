//! The device inventory, in the order devices were onboarded.

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::enroll::v1 as pb;
use muster_types::{Aggregate, DeviceId, Digest, Service, TenantId, Timestamp};
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::domain::enrollment::{Enrollment, Event, ManagedBy, Outcome};
use crate::domain::facts::DeviceFacts;
use crate::store;

/// The view: what devices say of themselves, and what came of their enrollment.
#[derive(Debug, Default)]
pub struct Devices {
    rows: Vec<Device>,
    by_id: FxHashMap<DeviceId, u32>,
}

/// A device of the inventory, in compact form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// Its id.
    pub id: DeviceId,
    /// What it last said of itself, as the contract encodes it.
    pub facts: Box<[u8]>,
    /// Digest of that.
    pub facts_digest: Digest,
    /// SHA-256 of the public key it last came with.
    pub key_digest: Digest,
    /// Who manages it, once that is decided.
    pub managed_by: Option<ManagedBy>,
    /// What came of its enrollment.
    pub outcome: Outcome,
    /// Error code of a refusal; empty otherwise.
    pub reason: Box<str>,
    /// SPIFFE ID of its certificate; empty before it is enrolled.
    pub spiffe_id: Box<str>,
    /// When it was first onboarded.
    pub onboard_time: Timestamp,
    /// When its facts last changed.
    pub facts_change_time: Timestamp,
}

impl Devices {
    /// One device.
    #[must_use]
    pub fn get(&self, id: DeviceId) -> Option<&Device> {
        self.rows.get(*self.by_id.get(&id)? as usize)
    }

    /// A tenant's devices from the `from`-th on, each with its number.
    pub fn from(&self, tenant: TenantId, from: u32) -> impl Iterator<Item = (u32, &Device)> {
        let rows = self.rows.iter().skip(from as usize);
        (from..).zip(rows).filter(move |(_, device)| device.tenant == tenant)
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

    /// The row of a device, made when it is onboarded for the first time.
    fn row(&mut self, envelope: &Envelope, event: &Event) -> Option<u32> {
        let id = DeviceId::from_uuid(envelope.stream.id);
        if let Some(number) = self.by_id.get(&id) {
            return Some(*number);
        }
        let Event::Onboarded { key_digest, .. } = event else { return None };
        let (number, at) = (self.count(), envelope.context.time);
        self.by_id.insert(id, number);
        self.rows.push(Device {
            tenant: envelope.stream.tenant,
            id,
            facts: Box::default(),
            facts_digest: [0; 32],
            key_digest: *key_digest,
            managed_by: None,
            outcome: Outcome::Pending,
            reason: Box::default(),
            spiffe_id: Box::default(),
            onboard_time: at,
            facts_change_time: at,
        });
        Some(number)
    }

    fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a view of 4 billion rows does not fit in memory")
    }
}

impl Device {
    fn evolve(&mut self, event: Event, at: Timestamp) {
        match event {
            Event::Onboarded { token: _, key_digest, facts, request: _ } => {
                self.key_digest = key_digest;
                self.outcome = Outcome::Pending;
                self.reason = Box::default();
                self.say(facts, at);
            }
            Event::FactsChanged { facts } => self.say(facts, at),
            Event::Succeeded { spiffe_id, managed_by } => {
                self.outcome = Outcome::Succeeded;
                self.spiffe_id = spiffe_id.into();
                self.managed_by = Some(managed_by);
            }
            Event::Refused { reason, message: _ } => {
                self.outcome = Outcome::Refused;
                self.reason = reason.into();
            }
        }
    }

    fn say(&mut self, facts: DeviceFacts, at: Timestamp) {
        let digest = facts.digest();
        if digest != self.facts_digest {
            self.facts_digest = digest;
            self.facts_change_time = at;
            self.facts = pb::DeviceFacts::from(facts).encode_to_vec().into();
        }
    }
}

impl View for Devices {
    const NAME: &'static str = "devices";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Enroll];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        if event.stream.aggregate != Aggregate::Enrollment {
            return Ok(());
        }
        let damaged = |reason| FoldError::new(event, reason);
        let Some(change) = Enrollment::decode(event).map_err(damaged)? else { return Ok(()) };
        let number =
            self.row(event, &change).ok_or_else(|| FoldError::new(event, "the device was not onboarded"))?;
        self.rows[number as usize].evolve(change, event.context.time);
        dirty.mark(store::device_key(number));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..self.count()).for_each(|number| row(&store::device_key(number)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(store::number(key)? as usize).map(store::encode_device)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = store::number(key).ok_or("not the key of a device")?;
        if number != self.count() {
            return Err(format!("device {} is missing", self.rows.len()));
        }
        let row = store::decode_device(value)?;
        self.by_id.insert(row.id, number);
        self.rows.push(row);
        Ok(())
    }
}
