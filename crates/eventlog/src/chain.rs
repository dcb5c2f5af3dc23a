//! The check every reader makes: nothing missing, nothing changed, nothing in another order.

use muster_types::{Digest, Service, StreamId, TenantId};
use rustc_hash::FxHashMap;

use crate::{Envelope, ReadError};

/// Bytes of a hash that are kept: enough that nobody finds another event with the same ones.
const KEPT_BYTES: usize = 16;
type Kept = [u8; KEPT_BYTES];

/// Follows the events of one service in log order, and tells where the log is not what was written: a gap in the
/// positions or in a stream's versions, a hash that does not link to the event before.
///
/// Keeps about 40 bytes a stream.
#[derive(Debug)]
pub struct ChainVerifier {
    service: Service,
    contiguous: bool,
    /// Whether a stream may first be met in its middle.
    resumed: bool,
    position: u64,
    tenants: Vec<TenantId>,
    heads: FxHashMap<Key, Head>,
}

/// A stream, in less room than [`StreamId`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    id: [u8; 16],
    tenant: u16,
    aggregate: u8,
}

/// The last event of a stream.
#[derive(Debug, Clone, Copy)]
struct Head {
    version: u32,
    hash: Kept,
}

fn kept(hash: &Digest) -> Kept {
    let (kept, _) = hash.split_first_chunk().expect("a digest is longer");
    *kept
}

impl ChainVerifier {
    /// Follows a service's part of the log from its first event. `contiguous_positions` where the engine counts events
    /// without a gap, as the embedded log does; elsewhere positions need only rise.
    #[must_use]
    pub fn new(service: Service, contiguous_positions: bool) -> Self {
        Self {
            service,
            contiguous: contiguous_positions,
            resumed: false,
            position: 0,
            tenants: Vec::new(),
            heads: FxHashMap::default(),
        }
    }

    /// Follows it after a position, from a checkpoint that does not tell the streams' heads: a stream may first be met
    /// in its middle, and is followed from there.
    #[must_use]
    pub fn resumed(service: Service, contiguous_positions: bool, after: u64) -> Self {
        Self { resumed: true, position: after, ..Self::new(service, contiguous_positions) }
    }

    /// Tells a stream's head: its version and the [`Envelope::hash`] of its last event.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] beyond the limits of the verifier: 65,536 tenants, 4 billion events a stream.
    pub fn seed(
        &mut self,
        stream: StreamId,
        version: muster_types::Version,
        hash: &Digest,
    ) -> Result<(), ReadError> {
        let version = u32::try_from(version.0).map_err(|_| self.broken(0, TOO_LONG.to_owned()))?;
        let key = self.key(stream, 0)?;
        self.heads.insert(key, Head { version, hash: kept(hash) });
        Ok(())
    }

    /// Position of the last event that was checked.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Checks the next event.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] names the position where the log is broken; the verifier then stays before that event.
    pub fn check(&mut self, event: &Envelope) -> Result<(), ReadError> {
        let found = event.position;
        if self.contiguous && found != self.position + 1 {
            let reason = format!("the event after position {} is gone", self.position);
            return Err(self.broken(found, reason));
        }
        if found <= self.position {
            let reason = format!("it comes after position {}", self.position);
            return Err(self.broken(found, reason));
        }
        if event.stream.service() != self.service {
            return Err(self.broken(found, format!("stream {} is of another service", event.stream)));
        }
        let key = self.key(event.stream, found)?;
        let Ok(version) = u32::try_from(event.version.0) else {
            return Err(self.broken(found, TOO_LONG.to_owned()));
        };
        let before = match self.heads.get(&key) {
            Some(head) => Some(*head),
            None if self.resumed && version > 1 => None,
            None => Some(Head { version: 0, hash: [0; KEPT_BYTES] }),
        };
        if let Some(before) = before {
            if u64::from(before.version) + 1 != u64::from(version) {
                let reason =
                    format!("stream {} goes from version {} to {version}", event.stream, before.version);
                return Err(self.broken(found, reason));
            }
            if before.hash != kept(&event.prev_hash) {
                let reason = format!("stream {} does not link to its event {}", event.stream, before.version);
                return Err(self.broken(found, reason));
            }
        }
        self.heads.insert(key, Head { version, hash: kept(&event.hash()) });
        self.position = found;
        Ok(())
    }

    fn key(&mut self, stream: StreamId, position: u64) -> Result<Key, ReadError> {
        let StreamId { tenant, aggregate, id } = stream;
        let known = self.tenants.iter().position(|known| *known == tenant);
        let index = known.unwrap_or(self.tenants.len());
        let Ok(number) = u16::try_from(index) else {
            return Err(self.broken(position, "the log holds more tenants than can be followed".to_owned()));
        };
        if known.is_none() {
            self.tenants.push(tenant);
        }
        Ok(Key { id: id.into_bytes(), tenant: number, aggregate: aggregate as u8 })
    }

    const fn broken(&self, position: u64, reason: String) -> ReadError {
        ReadError::Corrupt { service: self.service, position, reason }
    }
}

const TOO_LONG: &str = "a stream is longer than can be followed";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use muster_types::{Aggregate, EventId, Timestamp, Version};
    use uuid::Uuid;

    use super::*;
    use crate::{Actor, Context, EventType};

    /// Events of two streams in turn: positions 1, 2, 3, …
    fn events(count: u64) -> Vec<Envelope> {
        let mut hashes = [Digest::default(); 2];
        (0..count)
            .map(|i| {
                let turn = usize::from(i % 2 == 1);
                let event = Envelope {
                    position: i + 1,
                    event_id: EventId::from_uuid(Uuid::from_u128(i.into())),
                    stream: StreamId::new(TenantId::DEFAULT, Aggregate::Group, Uuid::from_u128(turn as u128)),
                    version: Version(i / 2 + 1),
                    kind: EventType::new("muster.identity.v1.GroupDefined"),
                    context: Context {
                        actor: Actor::admin("ada"),
                        time: Timestamp::from_micros(0),
                        correlation_id: Uuid::nil(),
                        causation_id: None,
                        traceparent: None,
                    },
                    prev_hash: hashes[turn],
                    payload: Bytes::from(i.to_be_bytes().to_vec()),
                };
                hashes[turn] = event.hash();
                event
            })
            .collect()
    }

    /// Where a log of these events is found to be broken.
    fn broken_at(mut verifier: ChainVerifier, events: &[Envelope]) -> Option<u64> {
        events.iter().find_map(|event| match verifier.check(event) {
            Err(ReadError::Corrupt { position, .. }) => Some(position),
            _ => None,
        })
    }

    fn strict() -> ChainVerifier {
        ChainVerifier::new(Service::Identity, true)
    }

    fn loose() -> ChainVerifier {
        ChainVerifier::new(Service::Identity, false)
    }

    #[test]
    fn a_whole_log_passes() {
        assert_eq!(broken_at(strict(), &events(20)), None);
        assert_eq!(broken_at(loose(), &events(20)), None);
    }

    #[test]
    fn a_lost_event_is_found_at_the_next_one_that_misses_it() {
        let mut log = events(10);
        log.remove(4);
        assert_eq!(broken_at(strict(), &log), Some(6));
        assert_eq!(broken_at(loose(), &log), Some(7), "the next event of its stream");
    }

    #[test]
    fn a_changed_event_is_found_at_the_next_of_its_stream() {
        let mut log = events(10);
        log[4].payload = Bytes::from_static(b"forged");
        assert_eq!(broken_at(strict(), &log), Some(7));
    }

    #[test]
    fn a_doubled_or_moved_event_is_found() {
        let mut log = events(10);
        log.insert(4, log[3].clone());
        assert_eq!(broken_at(loose(), &log), Some(4));
        let mut log = events(10);
        log.swap(4, 5);
        assert_eq!(broken_at(loose(), &log), Some(5));
    }

    #[test]
    fn an_event_of_another_service_is_found() {
        assert_eq!(broken_at(ChainVerifier::new(Service::Report, true), &events(2)), Some(1));
    }

    #[test]
    fn a_resumed_reader_follows_streams_from_where_it_meets_them() {
        let mut log = events(10);
        assert_eq!(broken_at(ChainVerifier::resumed(Service::Identity, true, 4), &log[4..]), None);
        assert_eq!(broken_at(ChainVerifier::resumed(Service::Identity, true, 3), &log[4..]), Some(5));
        log[6].payload = Bytes::from_static(b"forged");
        assert_eq!(broken_at(ChainVerifier::resumed(Service::Identity, true, 4), &log[4..]), Some(9));
    }

    #[test]
    fn a_seeded_reader_checks_the_first_event_it_meets() {
        let log = events(10);
        let seeded = |hash: &Digest| {
            let mut verifier = ChainVerifier::resumed(Service::Identity, true, 4);
            verifier.seed(log[2].stream, log[2].version, hash).expect("within the limits");
            verifier
        };
        assert_eq!(broken_at(seeded(&log[2].hash()), &log[4..]), None);
        assert_eq!(broken_at(seeded(&[1; 32]), &log[4..]), Some(5));
    }
}
