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
            group::Event::Defined { display_name, rule, at: _ } => {
                let kind = if rule.is_some() { pb::GroupKind::Dynamic } else { pb::GroupKind::Static };
                encoded(
                    kind::GROUP_DEFINED,
                    &pb::GroupDefined {
                        display_name: display_name.clone(),
                        kind: kind.into(),
                        rule: rule.as_deref().unwrap_or_default().to_owned(),
                    },
                )
            }
            group::Event::MembershipChanged { added, removed, at: _ } => encoded(
                kind::MEMBERSHIP_CHANGED,
                &pb::GroupMembershipChanged { added: bitmap_bytes(added), removed: bitmap_bytes(removed) },
            ),
            group::Event::RuleChanged { rule } => {
                encoded(kind::GROUP_RULE_CHANGED, &pb::GroupRuleChanged { rule: rule.to_string() })
            }
            group::Event::Deleted => encoded(kind::GROUP_DELETED, &pb::GroupDeleted {}),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        let (payload, at) = (&envelope.payload[..], envelope.context.time);
        Ok(Some(match envelope.kind.as_str() {
            kind::GROUP_DEFINED => {
                let pb::GroupDefined { display_name, kind, rule } = decoded(payload)?;
                let dynamic = kind == i32::from(pb::GroupKind::Dynamic);
                group::Event::Defined { display_name, rule: dynamic.then(|| rule.into()), at }
            }
            kind::MEMBERSHIP_CHANGED => {
                let pb::GroupMembershipChanged { added, removed } = decoded(payload)?;
                group::Event::MembershipChanged { added: bitmap(&added)?, removed: bitmap(&removed)?, at }
            }
            kind::GROUP_RULE_CHANGED => {
                let pb::GroupRuleChanged { rule } = decoded(payload)?;
                group::Event::RuleChanged { rule: rule.into() }
            }
            kind::GROUP_DELETED => {
                let pb::GroupDeleted {} = decoded(payload)?;
                group::Event::Deleted
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
            group::Event::Defined { display_name: "Web servers".into(), rule: None, at: AT },
            group::Event::MembershipChanged {
                added: RoaringBitmap::from_iter([0, 1, 70_000]),
                removed: RoaringBitmap::new(),
                at: AT,
            },
            group::Event::RuleChanged { rule: r#"device.tags -any (_ -eq "web")"#.into() },
            group::Event::Deleted,
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<Group>(events());
        let rule = Some(r#"device.deviceOSType -eq "Linux""#.into());
        round_trips::<Group>(vec![group::Event::Defined { display_name: "Linux".into(), rule, at: AT }]);
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Group>(GOLDEN, events());
    }
}
