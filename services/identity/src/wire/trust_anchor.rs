//! Events of trust anchors.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::identity::v1 as pb;
use muster_types::Aggregate;

use super::{decoded, encoded, kind, text};
use crate::domain::trust_anchor::{Event, Kind, TrustAnchor};

impl State for TrustAnchor {
    const AGGREGATE: Aggregate = Aggregate::TrustAnchor;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Added { display_name, kind, certificates_der, directory_tenant_id, at: _ } => {
                let message = pb::TrustAnchorAdded {
                    display_name: display_name.clone(),
                    kind: pb::TrustAnchorKind::from(*kind).into(),
                    certificates_der: certificates_der.clone(),
                    directory_tenant_id: directory_tenant_id.clone(),
                };
                encoded(kind::TRUST_ANCHOR_ADDED, &message)
            }
            Event::Removed => encoded(kind::TRUST_ANCHOR_REMOVED, &pb::TrustAnchorRemoved {}),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        Ok(Some(match envelope.kind.as_str() {
            kind::TRUST_ANCHOR_ADDED => {
                let message: pb::TrustAnchorAdded = decoded(&envelope.payload)?;
                let kind = message.kind().try_into().map_err(text)?;
                let pb::TrustAnchorAdded { display_name, kind: _, certificates_der, directory_tenant_id } =
                    message;
                let at = envelope.context.time;
                Event::Added { display_name, kind, certificates_der, directory_tenant_id, at }
            }
            kind::TRUST_ANCHOR_REMOVED => {
                let pb::TrustAnchorRemoved {} = decoded(&envelope.payload)?;
                Event::Removed
            }
            _ => return Ok(None),
        }))
    }
}

impl From<Kind> for pb::TrustAnchorKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::CorporateCa => Self::CorporateCa,
            Kind::Spire => Self::Spire,
            Kind::Directory => Self::Directory,
            Kind::Tpm => Self::Tpm,
        }
    }
}

impl TryFrom<pb::TrustAnchorKind> for Kind {
    type Error = &'static str;

    fn try_from(kind: pb::TrustAnchorKind) -> Result<Self, Self::Error> {
        match kind {
            pb::TrustAnchorKind::Unspecified => Err("kind: must be set"),
            pb::TrustAnchorKind::CorporateCa => Ok(Self::CorporateCa),
            pb::TrustAnchorKind::Spire => Ok(Self::Spire),
            pb::TrustAnchorKind::Directory => Ok(Self::Directory),
            pb::TrustAnchorKind::Tpm => Ok(Self::Tpm),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, envelope, round_trips, samples_decode};

    use super::*;

    fn events() -> Vec<Event> {
        vec![
            Event::Added {
                display_name: "Entra".into(),
                kind: Kind::Directory,
                certificates_der: vec![vec![0x30, 0], vec![0x30, 1, 2]],
                directory_tenant_id: "383a3889-5bc9-47a3-846c-2b70f0b7fe0e".into(),
                at: AT,
            },
            Event::Removed,
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<TrustAnchor>(events());
        for kind in [Kind::CorporateCa, Kind::Spire, Kind::Directory, Kind::Tpm] {
            assert_eq!(pb::TrustAnchorKind::from(kind).try_into(), Ok(kind));
        }
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<TrustAnchor>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"), events());
    }

    #[test]
    fn an_authority_of_no_kind_is_told() {
        let decode = |kind| TrustAnchor::decode(&envelope::<TrustAnchor>(EventType::new(kind), Vec::new()));
        assert!(decode(kind::TRUST_ANCHOR_ADDED).is_err());
        assert_eq!(decode("muster.identity.v9.Unheard"), Ok(None));
    }
}
