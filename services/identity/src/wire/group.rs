//! Events of groups.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::identity::v1 as pb;
use muster_types::Aggregate;

use super::{bitmap, bitmap_bytes, decoded, encoded, kind};
use crate::domain::group::{self, Group};

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

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, round_trips, samples_decode};
    use roaring::RoaringBitmap;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

    fn events() -> Vec<group::Event> {
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
        round_trips::<Group>(events());
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Group>(GOLDEN, events());
    }
}
