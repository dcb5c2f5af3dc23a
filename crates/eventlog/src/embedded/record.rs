//! How an event stands on disk.
//!
//! ```text
//! 0    format of the record (1)
//! 1    CRC-32 of service, position and all that follows
//! 5    kind of aggregate
//! 6    flags: 1 = has a causation id, 2 = has a trace context
//! 7    lengths: tenant u8, type u16, actor u16, trace context u16
//! 14   event id, 30 stream id, 46 version u64, 54 time i64, 62 correlation id, 78 previous hash
//! 110  causation id (if any), tenant, type, actor, trace context, payload to the end
//! ```
//! Numbers are big-endian. The position is the key; that it is part of the checksum makes a record under a wrong key
//! as detectable as a flipped bit.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use muster_types::{Aggregate, EventId, Service, StreamId, TenantId, Timestamp, Version};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::{Actor, Append, AppendError, Context, Envelope, EventType};

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 110;
const CRC: std::ops::Range<usize> = 1..5;
const HAS_CAUSATION: u8 = 1;
const HAS_TRACEPARENT: u8 = 2;

/// Longest event type, actor and trace context that the log takes, in bytes.
pub const TEXT_BYTES_MAX: usize = 1_024;

/// Distinct event types, and distinct actors, that a [`Decoder`] remembers.
const INTERNED_MAX: usize = 4_096;
/// Payloads are copied into blocks of this size, so that they share an allocation.
const ARENA_BYTES: usize = 64 * 1_024;

/// Bytes on disk that are not what was written; says what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);

/// Refuses what the record's lengths could not say.
pub(super) fn check_texts(append: &Append) -> Result<(), AppendError> {
    let too_long = |what: &str, found: usize| AppendError::Invalid {
        reason: format!("its {what} has {found} bytes, the limit is {TEXT_BYTES_MAX}"),
    };
    let Context { actor, traceparent, .. } = &append.context;
    let traceparent = traceparent.as_deref().unwrap_or_default();
    let kinds = append.events.iter().map(|event| ("event type", event.kind.as_str()));
    for (what, text) in kinds.chain([("actor", actor.as_str()), ("trace context", traceparent)]) {
        if text.len() > TEXT_BYTES_MAX {
            return Err(too_long(what, text.len()));
        }
    }
    Ok(())
}

fn text_len(text: &str) -> [u8; 2] {
    u16::try_from(text.len()).expect("check_texts refuses longer ones").to_be_bytes()
}

fn checksum(service: Service, position: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[service as u8]);
    hasher.update(&position.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Encodes an event whose texts were checked.
pub(super) fn encode(envelope: &Envelope) -> Vec<u8> {
    let Envelope { position, event_id, stream, version, kind, context, prev_hash, payload } = envelope;
    let Context { actor, time, correlation_id, causation_id, traceparent } = context;
    let tenant = stream.tenant.as_str();
    let mut out = Vec::with_capacity(HEAD_BYTES + 256 + payload.len());
    out.push(FORMAT);
    out.extend_from_slice(&[0; 4]);
    out.push(stream.aggregate as u8);
    let causation_flag = if causation_id.is_some() { HAS_CAUSATION } else { 0 };
    let traceparent_flag = if traceparent.is_some() { HAS_TRACEPARENT } else { 0 };
    out.push(causation_flag | traceparent_flag);
    out.push(u8::try_from(tenant.len()).expect("a tenant id has at most 32 bytes"));
    out.extend_from_slice(&text_len(kind.as_str()));
    out.extend_from_slice(&text_len(actor.as_str()));
    let traceparent = traceparent.as_deref().unwrap_or_default();
    out.extend_from_slice(&text_len(traceparent));
    out.extend_from_slice(event_id.as_bytes());
    out.extend_from_slice(stream.id.as_bytes());
    out.extend_from_slice(&version.0.to_be_bytes());
    out.extend_from_slice(&time.micros().to_be_bytes());
    out.extend_from_slice(correlation_id.as_bytes());
    out.extend_from_slice(prev_hash);
    if let Some(id) = causation_id {
        out.extend_from_slice(id.as_bytes());
    }
    for text in [tenant, kind.as_str(), actor.as_str(), traceparent] {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(payload);
    let crc = checksum(stream.service(), *position, &out[CRC.end..]);
    out[CRC].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Checks a record and tells the id of its event, without decoding the rest.
pub(super) fn event_id(service: Service, position: u64, record: &[u8]) -> Result<EventId, Damage> {
    let mut rest = Cut(verified(service, position, record)?);
    rest.take(14 - CRC.end)?;
    Ok(EventId::from_uuid(Uuid::from_bytes(rest.array()?)))
}

fn verified(service: Service, position: u64, record: &[u8]) -> Result<&[u8], Damage> {
    let (head, body) = record.split_at_checked(CRC.end).ok_or(Damage("the record is too short"))?;
    if head[0] != FORMAT {
        return Err(Damage("the record has an unknown format"));
    }
    if head[CRC] != checksum(service, position, body).to_be_bytes() {
        return Err(Damage("the record's checksum does not match"));
    }
    Ok(body)
}

/// The part of a record that is still to be read.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Damage("the record is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Damage("the record is too short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn len(&mut self) -> Result<usize, Damage> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }
}

/// Texts seen before, so that a replay does not allocate them anew for each event.
#[derive(Debug)]
struct Interned<T>(FxHashMap<Box<[u8]>, T>);

impl<T: Clone> Interned<T> {
    fn get(&mut self, bytes: &[u8], make: impl FnOnce(Arc<str>) -> T) -> Result<T, Damage> {
        if let Some(known) = self.0.get(bytes) {
            return Ok(known.clone());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Damage("a text of the record is not UTF-8"))?;
        let made = make(Arc::from(text));
        if self.0.len() >= INTERNED_MAX {
            self.0.clear();
        }
        self.0.insert(bytes.into(), made.clone());
        Ok(made)
    }
}

/// Decodes records; remembers what repeats from one to the next.
#[derive(Debug)]
pub(super) struct Decoder {
    tenant: TenantId,
    kinds: Interned<EventType>,
    actors: Interned<Actor>,
    arena: BytesMut,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            tenant: TenantId::DEFAULT,
            kinds: Interned(FxHashMap::default()),
            actors: Interned(FxHashMap::default()),
            arena: BytesMut::new(),
        }
    }
}

impl Decoder {
    /// Decodes the record at a position.
    pub(super) fn decode(
        &mut self,
        service: Service,
        position: u64,
        record: &[u8],
    ) -> Result<Envelope, Damage> {
        let mut rest = Cut(verified(service, position, record)?);
        let [aggregate, flags, tenant_len] = rest.array()?;
        let (kind_len, actor_len, traceparent_len) = (rest.len()?, rest.len()?, rest.len()?);
        let event_id = EventId::from_uuid(Uuid::from_bytes(rest.array()?));
        let id = Uuid::from_bytes(rest.array()?);
        let version = Version(u64::from_be_bytes(rest.array()?));
        let time = Timestamp::from_micros(i64::from_be_bytes(rest.array()?));
        let correlation_id = Uuid::from_bytes(rest.array()?);
        let prev_hash = rest.array()?;
        let causation_id = match flags & HAS_CAUSATION {
            0 => None,
            _ => Some(EventId::from_uuid(Uuid::from_bytes(rest.array()?))),
        };
        let tenant = self.tenant(rest.take(usize::from(tenant_len))?)?;
        let kind = self.kinds.get(rest.take(kind_len)?, EventType::new)?;
        let actor = self.actors.get(rest.take(actor_len)?, Actor::from_log)?;
        let traceparent = rest.take(traceparent_len)?;
        let traceparent = match flags & HAS_TRACEPARENT {
            0 => None,
            _ => Some(Arc::from(
                std::str::from_utf8(traceparent).map_err(|_| Damage("its trace context is not UTF-8"))?,
            )),
        };
        let aggregate = Aggregate::from_byte(aggregate)
            .filter(|aggregate| aggregate.service() == service)
            .ok_or(Damage("the record is of no aggregate of this service"))?;
        Ok(Envelope {
            position,
            event_id,
            stream: StreamId { tenant, aggregate, id },
            version,
            kind,
            context: Context { actor, time, correlation_id, causation_id, traceparent },
            prev_hash,
            payload: self.payload(rest.0),
        })
    }

    fn tenant(&mut self, bytes: &[u8]) -> Result<TenantId, Damage> {
        if bytes != self.tenant.as_str().as_bytes() {
            self.tenant = std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or(Damage("the record names no tenant"))?;
        }
        Ok(self.tenant)
    }

    fn payload(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > ARENA_BYTES / 8 {
            return Bytes::copy_from_slice(bytes);
        }
        if self.arena.capacity() < bytes.len() {
            self.arena = BytesMut::with_capacity(ARENA_BYTES);
        }
        self.arena.extend_from_slice(bytes);
        self.arena.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(causation: bool) -> Envelope {
        Envelope {
            position: 7,
            event_id: EventId::from_uuid(Uuid::from_u128(1)),
            stream: StreamId::new("acme".parse().expect("a tenant"), Aggregate::Policy, Uuid::from_u128(2)),
            version: Version(3),
            kind: EventType::new("muster.policy.v1.PolicyRevised"),
            context: Context {
                actor: Actor::admin("ada"),
                time: Timestamp::from_micros(-4),
                correlation_id: Uuid::from_u128(5),
                causation_id: causation.then(|| EventId::from_uuid(Uuid::from_u128(6))),
                traceparent: causation
                    .then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            },
            prev_hash: [9; 32],
            payload: Bytes::from_static(b"payload"),
        }
    }

    #[test]
    fn records_round_trip() {
        let mut decoder = Decoder::default();
        for envelope in [envelope(false), envelope(true)] {
            let record = encode(&envelope);
            assert_eq!(event_id(Service::Policy, 7, &record), Ok(envelope.event_id));
            assert_eq!(decoder.decode(Service::Policy, 7, &record), Ok(envelope));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let record = encode(&envelope(true));
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Decoder::default().decode(Service::Policy, 7, &damaged).is_err(), "bit {bit}");
        }
        for len in 0..record.len() {
            assert!(Decoder::default().decode(Service::Policy, 7, &record[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn a_record_under_another_position_is_noticed() {
        let record = encode(&envelope(true));
        assert!(Decoder::default().decode(Service::Policy, 8, &record).is_err());
        assert!(Decoder::default().decode(Service::Report, 7, &record).is_err());
    }

    /// The first bytes that a log of format 1 ever held; they must stay readable.
    #[test]
    fn the_record_stays_what_it_was() {
        let record = encode(&envelope(true));
        assert_eq!(crc32fast::hash(&record), RECORDED);
    }

    const RECORDED: u32 = 466_476_490;
}
