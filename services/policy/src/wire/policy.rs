//! Policies.

use std::collections::BTreeMap;

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::Aggregate;

use super::{decoded, encoded, from_settings, kind, origin, text, to_settings};
use crate::domain::policy::{Content, Event, OnUnassign, Policy};

impl State for Policy {
    const AGGREGATE: Aggregate = Aggregate::Policy;
    type Event = Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Created { profile, content, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                let created = pb::PolicyCreated {
                    display_name: display_name.clone(),
                    profile: profile.clone(),
                    settings: to_settings(settings),
                    on_unassign: pb::OnUnassign::from(*on_unassign).into(),
                    reason: origin.reason.clone(),
                };
                encoded(kind::POLICY_CREATED, &created)
            }
            Event::Revised { revision, content, rolled_back_to, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                let revised = pb::PolicyRevised {
                    revision: *revision,
                    display_name: display_name.clone(),
                    settings: to_settings(settings),
                    on_unassign: pb::OnUnassign::from(*on_unassign).into(),
                    reason: origin.reason.clone(),
                    rolled_back_to: rolled_back_to.unwrap_or(0),
                };
                encoded(kind::POLICY_REVISED, &revised)
            }
            Event::Deleted { origin } => {
                encoded(kind::POLICY_DELETED, &pb::PolicyDeleted { reason: origin.reason.clone() })
            }
            Event::Undeleted { origin } => {
                encoded(kind::POLICY_UNDELETED, &pb::PolicyUndeleted { reason: origin.reason.clone() })
            }
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        Ok(Some(match envelope.kind.as_str() {
            kind::POLICY_CREATED => {
                let pb::PolicyCreated { display_name, profile, settings, on_unassign, reason } =
                    decoded(envelope)?;
                let content = content(display_name, settings, on_unassign)?;
                Event::Created { profile, content, origin: origin(envelope, reason) }
            }
            kind::POLICY_REVISED => {
                let pb::PolicyRevised {
                    revision,
                    display_name,
                    settings,
                    on_unassign,
                    reason,
                    rolled_back_to,
                } = decoded(envelope)?;
                let content = content(display_name, settings, on_unassign)?;
                let rolled_back_to = Some(rolled_back_to).filter(|to| *to > 0);
                Event::Revised { revision, content, rolled_back_to, origin: origin(envelope, reason) }
            }
            kind::POLICY_DELETED => {
                let pb::PolicyDeleted { reason } = decoded(envelope)?;
                Event::Deleted { origin: origin(envelope, reason) }
            }
            kind::POLICY_UNDELETED => {
                let pb::PolicyUndeleted { reason } = decoded(envelope)?;
                Event::Undeleted { origin: origin(envelope, reason) }
            }
            _ => return Ok(None),
        }))
    }
}

fn content(display_name: String, settings: Vec<pb::Setting>, on_unassign: i32) -> Result<Content, String> {
    let settings: BTreeMap<_, _> = from_settings(settings)?;
    let on_unassign = pb::OnUnassign::try_from(on_unassign).map_err(text)?.into();
    Ok(Content { display_name, settings, on_unassign })
}

impl From<OnUnassign> for pb::OnUnassign {
    fn from(on_unassign: OnUnassign) -> Self {
        match on_unassign {
            OnUnassign::Revert => Self::Revert,
            OnUnassign::Keep => Self::Keep,
        }
    }
}

/// What is not said is taken as revert.
impl From<pb::OnUnassign> for OnUnassign {
    fn from(on_unassign: pb::OnUnassign) -> Self {
        match on_unassign {
            pb::OnUnassign::Unspecified | pb::OnUnassign::Revert => Self::Revert,
            pb::OnUnassign::Keep => Self::Keep,
        }
    }
}
