//! Events of an onboarding token ↔ their payloads.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{moment, required, timestamp};
use muster_proto::enroll::v1 as pb;
use muster_types::{Aggregate, DeviceId};

use super::{decoded, digest, encoded, kind, platforms, tags, text, texts};
use crate::domain::onboarding_token::{Event, OnboardingToken, Terms};

impl State for OnboardingToken {
    const AGGREGATE: Aggregate = Aggregate::OnboardingToken;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Issued { secret_hash, expire_time, terms, at: _ } => {
                let Terms { uses_max, tags, platforms, display_name } = terms;
                let issued = pb::OnboardingTokenIssued {
                    secret_hash: secret_hash.to_vec(),
                    expire_time: Some(timestamp(*expire_time)),
                    uses_max: *uses_max,
                    tags: texts(tags),
                    platforms: platforms.iter().map(|it| pb::Platform::from(*it).into()).collect(),
                    display_name: display_name.to_string(),
                };
                encoded(kind::TOKEN_ISSUED, &issued)
            }
            Event::Used { device, at: _ } => {
                encoded(kind::TOKEN_USED, &pb::OnboardingTokenUsed { device_id: device.as_bytes().to_vec() })
            }
            Event::Revoked { at: _ } => encoded(kind::TOKEN_REVOKED, &pb::OnboardingTokenRevoked {}),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        let (payload, at) = (&envelope.payload[..], envelope.context.time);
        Ok(Some(match envelope.kind.as_str() {
            kind::TOKEN_ISSUED => {
                let issued: pb::OnboardingTokenIssued = decoded(payload)?;
                let pb::OnboardingTokenIssued {
                    secret_hash,
                    expire_time,
                    uses_max,
                    tags: given,
                    platforms: let_in,
                    display_name,
                } = issued;
                Event::Issued {
                    secret_hash: digest(&secret_hash, "secret_hash")?,
                    expire_time: moment(required(expire_time, "expire_time").map_err(text)?),
                    terms: Terms {
                        uses_max,
                        tags: tags(given),
                        platforms: platforms(&let_in).map_err(text)?,
                        display_name: display_name.into(),
                    },
                    at,
                }
            }
            kind::TOKEN_USED => {
                let pb::OnboardingTokenUsed { device_id } = decoded(payload)?;
                Event::Used { device: DeviceId::from_slice(&device_id).map_err(text)?, at }
            }
            kind::TOKEN_REVOKED => {
                let pb::OnboardingTokenRevoked {} = decoded(payload)?;
                Event::Revoked { at }
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_testkit::wire::{AT, round_trips, samples_decode};
    use uuid::Uuid;

    use super::*;
    use crate::domain::facts::Platform;
    use crate::domain::tags::sorted;
    use crate::wire::tests::GOLDEN;

    fn events(terms: Terms) -> Vec<Event> {
        let device = DeviceId::from_uuid(Uuid::from_u128(1));
        vec![
            Event::Issued {
                secret_hash: [3; 32],
                expire_time: AT.plus(Duration::from_secs(60)),
                terms,
                at: AT,
            },
            Event::Used { device, at: AT },
            Event::Revoked { at: AT },
        ]
    }

    fn first_form() -> Vec<Event> {
        events(Terms { uses_max: 5, ..Terms::default() })
    }

    fn second_form() -> Vec<Event> {
        let terms = Terms {
            uses_max: 5,
            tags: sorted(["branch", "pilot"]),
            platforms: vec![Platform::Windows, Platform::Linux],
            display_name: "Branch office".into(),
        };
        events(terms).into_iter().take(1).collect()
    }

    #[test]
    fn events_round_trip() {
        round_trips::<OnboardingToken>(second_form());
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<OnboardingToken>(GOLDEN, first_form());
        samples_decode::<OnboardingToken>(format!("{GOLDEN}/2"), second_form());
    }
}
