//! Domain events ↔ the payloads of the log (`events.proto`), and old forms made new on reading.
//!
//! A payload does not repeat what its envelope says: the moment of an event.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, required, timestamp};
use muster_proto::identity::v1 as pb;
use muster_types::Aggregate;
use roaring::RoaringBitmap;

use crate::domain::group::{self, Group};
use crate::domain::registration::{self, Kind, Registration};

/// Full names of the payloads.
pub mod kind {
    /// Trust in a device was established.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
    /// A group was defined.
    pub const GROUP_DEFINED: &str = "muster.identity.v1.GroupDefined";
    /// Devices came into or left a group.
    pub const MEMBERSHIP_CHANGED: &str = "muster.identity.v1.GroupMembershipChanged";
}

impl State for Registration {
    const AGGREGATE: Aggregate = Aggregate::Registration;
    type Event = registration::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let registration::Event::TrustEstablished {
            kind,
            spiffe_id,
            key_digest,
            certificate_serial,
            not_after,
        } = event;
        let payload = pb::TrustEstablished {
            kind: pb::RegistrationKind::from(*kind).into(),
            spiffe_id: spiffe_id.clone(),
            key_digest: key_digest.to_vec(),
            certificate_serial: certificate_serial.clone(),
            not_after: Some(timestamp(*not_after)),
            registration: String::new(),
            join_type: String::new(),
            hardware_keys: Vec::new(),
        };
        encoded(kind::TRUST_ESTABLISHED, &payload)
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::TRUST_ESTABLISHED {
            return Ok(None);
        }
        let message: pb::TrustEstablished = decoded(&envelope.payload)?;
        let kind = message.kind().try_into().map_err(text)?;
        let pb::TrustEstablished {
            kind: _,
            spiffe_id,
            key_digest,
            certificate_serial,
            not_after,
            registration: _,
            join_type: _,
            hardware_keys: _,
        } = message;
        Ok(Some(registration::Event::TrustEstablished {
            kind,
            spiffe_id,
            key_digest: key_digest.try_into().map_err(|_| "key_digest: expected 32 bytes".to_owned())?,
            certificate_serial,
            not_after: moment(required(not_after, "not_after").map_err(text)?),
        }))
    }
}

impl State for Group {
    const AGGREGATE: Aggregate = Aggregate::Group;
    type Event = group::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            group::Event::Defined { display_name, at: _ } => encoded(
                kind::GROUP_DEFINED,
                &pb::GroupDefined { display_name: display_name.clone(), kind: pb::GroupKind::Static.into() },
            ),
            group::Event::MembershipChanged { added, removed, at: _ } => encoded(
                kind::MEMBERSHIP_CHANGED,
                &pb::GroupMembershipChanged { added: bitmap_bytes(added), removed: bitmap_bytes(removed) },
            ),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        let (payload, at) = (&envelope.payload[..], envelope.context.time);
        Ok(Some(match envelope.kind.as_str() {
            kind::GROUP_DEFINED => {
                let pb::GroupDefined { display_name, kind: _ } = decoded(payload)?;
                group::Event::Defined { display_name, at }
            }
            kind::MEMBERSHIP_CHANGED => {
                let pb::GroupMembershipChanged { added, removed } = decoded(payload)?;
                group::Event::MembershipChanged { added: bitmap(&added)?, removed: bitmap(&removed)?, at }
            }
            _ => return Ok(None),
        }))
    }
}

impl From<Kind> for pb::RegistrationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Synthetic => Self::Synthetic,
            Kind::Full => Self::Full,
        }
    }
}

impl TryFrom<pb::RegistrationKind> for Kind {
    type Error = &'static str;

    fn try_from(kind: pb::RegistrationKind) -> Result<Self, Self::Error> {
        match kind {
            pb::RegistrationKind::Unspecified => Err("kind: must be set"),
            pb::RegistrationKind::Synthetic => Ok(Self::Synthetic),
            pb::RegistrationKind::Full => Ok(Self::Full),
        }
    }
}

/// Ordinals in the portable serialisation; nothing for none.
#[must_use]
pub fn bitmap_bytes(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    if !bitmap.is_empty() {
        bitmap.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    }
    bytes
}

/// Reads what [`bitmap_bytes`] wrote.
///
/// # Errors
/// What is wrong with the bytes.
pub fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap, String> {
    if bytes.is_empty() {
        Ok(RoaringBitmap::new())
    } else {
        RoaringBitmap::deserialize_from(bytes).map_err(text)
    }
}

fn decoded<M: prost::Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(text)
}

fn encoded(kind: &'static str, message: &impl prost::Message) -> (EventType, Vec<u8>) {
    (EventType::new(kind), message.encode_to_vec())
}

#[expect(clippy::needless_pass_by_value, reason = "takes what `map_err` gives")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, round_trips, samples_decode};

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

    fn registration_events() -> Vec<registration::Event> {
        vec![registration::Event::TrustEstablished {
            kind: Kind::Synthetic,
            spiffe_id: "spiffe://muster.local/tenant/default/device/x".into(),
            key_digest: [4; 32],
            certificate_serial: vec![0x41; 16],
            not_after: AT,
        }]
    }

    fn group_events() -> Vec<group::Event> {
        vec![
            group::Event::Defined { display_name: "Web servers".into(), at: AT },
            group::Event::MembershipChanged {
                added: RoaringBitmap::from_iter([0, 1, 70_000]),
                removed: RoaringBitmap::new(),
                at: AT,
            },
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<Registration>(registration_events());
        round_trips::<Group>(group_events());
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Registration>(GOLDEN, registration_events());
        samples_decode::<Group>(GOLDEN, group_events());
    }

    #[test]
    fn a_damaged_bitmap_is_told() {
        assert!(bitmap(&[1, 2, 3]).is_err());
        assert_eq!(bitmap(&[]), Ok(RoaringBitmap::new()));
    }
}
