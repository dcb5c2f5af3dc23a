//! The device inventory, in the order devices were onboarded.

use std::collections::BTreeSet;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::TrustEstablished;
use muster_types::{Aggregate, DeviceId, Digest, Service, TenantId, Timestamp};
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::domain::enrollment::{Enrollment, Event, ManagedBy, Outcome};
use crate::domain::facts::DeviceFacts;
use crate::{store, wire};

/// The view: what devices say of themselves, and what came of their enrollment.
#[derive(Debug, Default)]
pub struct Devices {
    rows: Vec<Device>,
    by_id: FxHashMap<DeviceId, u32>,
    /// Trust in devices whose onboarding is not folded yet: the two logs come in no order.
    early: FxHashMap<DeviceId, Trust>,
    /// Devices that are trusted with the key they came with, and whose enrollment does not say so yet.
    unfinished: BTreeSet<DeviceId>,
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
    /// The last trust that identity established.
    pub trust: Option<Trust>,
}

/// Trust that identity established in a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// SHA-256 of the public key that is trusted.
    pub key_digest: Digest,
    /// SPIFFE ID of the certificate.
    pub spiffe_id: Box<str>,
}

/// A device whose enrollment lacks its last event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// What is known of the trust in it.
    pub trust: Trust,
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

    /// Up to `max` devices that are trusted and whose enrollment does not say so yet.
    #[must_use]
    pub fn unfinished(&self, max: usize) -> Vec<Unfinished> {
        let rows = self.unfinished.iter().filter_map(|id| self.get(*id));
        let unfinished = rows.filter_map(|row| {
            let trust = row.trust.clone()?;
            Some(Unfinished { tenant: row.tenant, device: row.id, trust })
        });
        unfinished.take(max).collect()
    }

    fn enrollment(&mut self, envelope: &Envelope, event: Event, dirty: &mut Dirty) -> Result<(), FoldError> {
        let id = DeviceId::from_uuid(envelope.stream.id);
        let at = envelope.context.time;
        if let Event::Onboarded { .. } = event
            && !self.by_id.contains_key(&id)
        {
            self.arrive(envelope.stream.tenant, id, at, dirty);
        }
        let number =
            self.number(id).ok_or_else(|| FoldError::new(envelope, "the device was not onboarded"))?;
        self.rows[number as usize].evolve(event, at);
        self.settled(number, dirty);
        Ok(())
    }

    fn arrive(&mut self, tenant: TenantId, id: DeviceId, at: Timestamp, dirty: &mut Dirty) {
        let trust = self.early.remove(&id);
        if trust.is_some() {
            dirty.mark(store::early_trust_key(id));
        }
        self.by_id.insert(id, self.count());
        self.rows.push(Device {
            tenant,
            id,
            facts: Box::default(),
            facts_digest: [0; 32],
            key_digest: [0; 32],
            managed_by: None,
            outcome: Outcome::Pending,
            reason: Box::default(),
            spiffe_id: Box::default(),
            onboard_time: at,
            facts_change_time: at,
            trust,
        });
    }

    fn trusted(&mut self, id: DeviceId, trust: Trust, dirty: &mut Dirty) {
        if let Some(number) = self.number(id) {
            self.rows[number as usize].trust = Some(trust);
            self.settled(number, dirty);
        } else {
            self.early.insert(id, trust);
            dirty.mark(store::early_trust_key(id));
        }
    }

    /// Notes what changed in a row for those who look at it from elsewhere.
    fn settled(&mut self, number: u32, dirty: &mut Dirty) {
        self.index(number);
        dirty.mark(store::device_key(number));
    }

    fn index(&mut self, number: u32) {
        let row = &self.rows[number as usize];
        if row.is_unfinished() {
            self.unfinished.insert(row.id);
        } else {
            self.unfinished.remove(&row.id);
        }
    }

    fn number(&self, id: DeviceId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a view of 4 billion rows does not fit in memory")
    }
}

impl Device {
    fn is_unfinished(&self) -> bool {
        let trusted = self.trust.as_ref().is_some_and(|trust| trust.key_digest == self.key_digest);
        trusted && self.outcome == Outcome::Pending
    }

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
    const SOURCES: &'static [Service] = &[Service::Enroll, Service::Identity];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let damaged = |reason| FoldError::new(event, reason);
        if event.stream.aggregate == Aggregate::Enrollment {
            let decoded = Enrollment::decode(event).map_err(damaged)?;
            decoded.map_or(Ok(()), |decoded| self.enrollment(event, decoded, dirty))
        } else if event.kind.as_str() == wire::kind::TRUST_ESTABLISHED {
            let message: TrustEstablished = wire::decoded(&event.payload).map_err(damaged)?;
            let trust = Trust {
                key_digest: wire::digest(&message.key_digest, "key_digest").map_err(damaged)?,
                spiffe_id: message.spiffe_id.into(),
            };
            self.trusted(DeviceId::from_uuid(event.stream.id), trust, dirty);
            Ok(())
        } else {
            Ok(())
        }
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        (0..self.count()).for_each(|number| row(&store::device_key(number)));
        self.early.keys().for_each(|id| row(&store::early_trust_key(*id)));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        match store::read_device_key(key)? {
            store::DeviceKey::Device(number) => self.rows.get(number as usize).map(store::encode_device),
            store::DeviceKey::EarlyTrust(id) => self.early.get(&id).map(store::encode_trust),
        }
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match store::read_device_key(key).ok_or("not the key of a device")? {
            store::DeviceKey::Device(number) if number == self.count() => {
                let row = store::decode_device(value)?;
                self.by_id.insert(row.id, number);
                self.rows.push(row);
                self.index(number);
                Ok(())
            }
            store::DeviceKey::Device(_) => Err(format!("device {} is missing", self.rows.len())),
            store::DeviceKey::EarlyTrust(id) => {
                self.early.insert(id, store::decode_trust(value)?);
                Ok(())
            }
        }
    }
}
