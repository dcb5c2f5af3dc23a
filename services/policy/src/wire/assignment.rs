//! Assignments.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, GroupId, PolicyId};

use super::{decoded, encoded, kind, text};
use crate::domain::assignment::{Assignment, Event, Intent, Priority, Tie};

impl State for Assignment {
    const AGGREGATE: Aggregate = Aggregate::Assignment;
    type Event = Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            Event::Assigned { policy, group, tie, at: _ } => {
                let Tie { intent, priority, filter } = tie;
                let assigned = pb::PolicyAssigned {
                    policy_id: policy.as_bytes().to_vec(),
                    group_id: group.as_bytes().to_vec(),
                    intent: pb::AssignmentIntent::from(*intent).into(),
                    priority: priority.map(|priority| priority.number().into()),
                    filter: filter.clone(),
                };
                encoded(kind::POLICY_ASSIGNED, &assigned)
            }
            Event::Unassigned { policy, group } => {
                let unassigned = pb::PolicyUnassigned {
                    policy_id: policy.as_bytes().to_vec(),
                    group_id: group.as_bytes().to_vec(),
                };
                encoded(kind::POLICY_UNASSIGNED, &unassigned)
            }
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        Ok(Some(match envelope.kind.as_str() {
            kind::POLICY_ASSIGNED => {
                let pb::PolicyAssigned { policy_id, group_id, intent, priority, filter } = decoded(envelope)?;
                let intent = pb::AssignmentIntent::try_from(intent).map_err(text)?.into();
                let known = |number| Priority::new(number).ok_or_else(|| format!("priority {number}"));
                let priority = priority.map(known).transpose()?;
                Event::Assigned {
                    policy: PolicyId::from_slice(&policy_id).map_err(text)?,
                    group: GroupId::from_slice(&group_id).map_err(text)?,
                    tie: Tie { intent, priority, filter },
                    at: envelope.context.time,
                }
            }
            kind::POLICY_UNASSIGNED => {
                let pb::PolicyUnassigned { policy_id, group_id } = decoded(envelope)?;
                Event::Unassigned {
                    policy: PolicyId::from_slice(&policy_id).map_err(text)?,
                    group: GroupId::from_slice(&group_id).map_err(text)?,
                }
            }
            _ => return Ok(None),
        }))
    }
}

impl From<Intent> for pb::AssignmentIntent {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Include => Self::Include,
            Intent::Exclude => Self::Exclude,
        }
    }
}

/// What is not said is taken as include.
impl From<pb::AssignmentIntent> for Intent {
    fn from(intent: pb::AssignmentIntent) -> Self {
        match intent {
            pb::AssignmentIntent::Unspecified | pb::AssignmentIntent::Include => Self::Include,
            pb::AssignmentIntent::Exclude => Self::Exclude,
        }
    }
}
