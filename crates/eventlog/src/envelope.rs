//! What an event travels in.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use muster_types::{Digest, EventId, Service, StreamId, Timestamp, Version};
use sha2::{Digest as _, Sha256};
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
        let mut head = Vec::with_capacity(256);
        head.extend_from_slice(b"muster.event.v1");
        head.extend_from_slice(prev_hash);
        head.extend_from_slice(event_id.as_bytes());
        head.push(stream.aggregate as u8);
        head.extend_from_slice(stream.id.as_bytes());
        head.extend_from_slice(&version.0.to_be_bytes());
        head.extend_from_slice(&time.micros().to_be_bytes());
        head.extend_from_slice(correlation_id.as_bytes());
        head.extend_from_slice(causation_id.map_or([0; 16], |id| *id.as_bytes()).as_slice());
        let traceparent = traceparent.as_deref().unwrap_or_default();
        for text in [stream.tenant.as_str(), kind.as_str(), actor.as_str(), traceparent] {
            head.extend_from_slice(&(text.len() as u64).to_be_bytes());
            head.extend_from_slice(text.as_bytes());
        }
        let mut hasher = Sha256::new();
        hasher.update(&head);
        hasher.update(payload);
        hasher.finalize().into()
    }
}
