//! What an event travels in.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use muster_types::{Canonical, Digest, EventId, Service, StreamId, Timestamp, Version};
use uuid::Uuid;

/// Largest payload of an event, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 512 * 1024;

/// Full name of the payload's message, for example `muster.enroll.v1.DeviceOnboarded`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Arc<str>);

impl EventType {
    /// Names a type.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its package, for example `DeviceOnboarded`.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.rsplit_once('.').map_or(&*self.0, |(_, short)| short)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventType({})", self.0)
    }
}

/// Who caused an event: `admin:<name>`, `device:<id>` or `service:<name>`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor(Arc<str>);

impl Actor {
    /// An admin, by the name the log shows.
    #[must_use]
    pub fn admin(name: &str) -> Self {
        Self(format!("admin:{name}").into())
    }

    /// A device.
    #[must_use]
    pub fn device(id: muster_types::DeviceId) -> Self {
        Self(format!("device:{id}").into())
    }

    /// A service, on its own account.
    #[must_use]
    pub fn service(service: Service) -> Self {
        Self(format!("service:{service}").into())
    }

    /// An actor as it stands in the log.
    pub fn from_log(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The actor as it stands in the log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the events of one command have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Who caused them.
    pub actor: Actor,
    /// When it was decided.
    pub time: Timestamp,
    /// The work they belong to.
    pub correlation_id: Uuid,
    /// The event they react to, if any.
    pub causation_id: Option<EventId>,
    /// W3C trace context of the command, if it was traced.
    pub traceparent: Option<Arc<str>>,
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Comes with the command: a retry brings the same one.
    pub id: EventId,
    /// Type of the payload.
    pub kind: EventType,
    /// The encoded event, at most [`PAYLOAD_BYTES_MAX`].
    pub payload: Bytes,
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Place in the whole log of its service, from 1.
    pub position: u64,
    /// Its identity.
    pub event_id: EventId,
    /// The stream it is in.
    pub stream: StreamId,
    /// Its place in the stream, from 1 without a gap.
    pub version: Version,
    /// Type of the payload.
    pub kind: EventType,
    /// What it has in common with the other events of its command.
    pub context: Context,
    /// [`Envelope::hash`] of the event before it in the stream; zeros for the first.
    pub prev_hash: Digest,
    /// The event, byte for byte as first encoded.
    pub payload: Bytes,
}

impl Envelope {
    /// The link that the next event of the stream carries as `prev_hash`: SHA-256 over everything but the position,
    /// each part with its length.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let Self { position: _, event_id, stream, version, kind, context, prev_hash, payload } = self;
        let Context { actor, time, correlation_id, causation_id, traceparent } = context;
        let mut input = Canonical::new(b"muster.event.v1");
        input.put(prev_hash);
        input.put(event_id.as_bytes());
        input.put(&[stream.aggregate as u8]);
        input.put(stream.id.as_bytes());
        input.put(&version.0.to_be_bytes());
        input.put(&time.micros().to_be_bytes());
        input.put(correlation_id.as_bytes());
        input.put(causation_id.map_or([0; 16], |id| *id.as_bytes()).as_slice());
        let traceparent = traceparent.as_deref().unwrap_or_default();
        for text in [stream.tenant.as_str(), kind.as_str(), actor.as_str(), traceparent] {
            input.bytes(text.as_bytes());
        }
        input.put(payload);
        input.digest()
    }
}

#[cfg(test)]
mod tests {
    use muster_types::{Aggregate, TenantId};

    use super::*;

    fn envelope(payload: Bytes) -> Envelope {
        Envelope {
            position: 99,
            event_id: EventId::from_uuid(Uuid::from_u128(1)),
            stream: StreamId::new(TenantId::DEFAULT, Aggregate::Policy, Uuid::from_u128(2)),
            version: Version(3),
            kind: EventType::new("muster.policy.v1.PolicyRevised"),
            context: Context {
                actor: Actor::admin("ada"),
                time: Timestamp::from_micros(1_700_000_000_123_456),
                correlation_id: Uuid::from_u128(4),
                causation_id: Some(EventId::from_uuid(Uuid::from_u128(5))),
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            },
            prev_hash: [6; 32],
            payload,
        }
    }

    fn hex(digest: Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Chains in the field hold these links; computed by another implementation of SHA-256.
    #[test]
    fn the_hash_stays_what_it_was() {
        assert_eq!(hex(envelope(Bytes::from_static(b"payload")).hash()), SMALL);
        assert_eq!(hex(envelope(vec![7; 5_000].into()).hash()), LARGE);
    }

    #[test]
    fn the_hash_covers_all_but_the_position() {
        let base = envelope(Bytes::from_static(b"payload"));
        let moved = Envelope { position: 1, ..base.clone() };
        assert_eq!(moved.hash(), base.hash());
        let mut others = vec![base.clone(); 11];
        others[0].event_id = EventId::from_uuid(Uuid::nil());
        others[1].stream.tenant = "acme".parse().expect("a tenant");
        others[2].stream.aggregate = Aggregate::Assignment;
        others[3].stream.id = Uuid::nil();
        others[4].version = Version(4);
        others[5].kind = EventType::new("muster.policy.v1.PolicyRevise");
        others[6].context.actor = Actor::admin("bob");
        others[7].context.time = Timestamp::from_micros(0);
        others[8].context.causation_id = None;
        others[9].context.traceparent = None;
        others[10].prev_hash = [0; 32];
        let mut hashes: Vec<_> = others.iter().map(Envelope::hash).chain([base.hash()]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 12);
    }

    const SMALL: &str = "03fb84a35b51121fa08ab7f89c11291d61fe1409839c182198270e01b2a2cb43";
    const LARGE: &str = "b538971415ceade150f277ad2d25e76d9c8e2fdbb5e87608c45f4ae866a0ae7b";
}
