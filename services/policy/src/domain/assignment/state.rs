//! The rules of an assignment.

use muster_types::{GroupId, PolicyId, Timestamp, id};
use uuid::Uuid;

use super::{Command, Error, Event, Intent, Tie};

/// Longest assignment filter, in characters.
pub const FILTER_CHARS_MAX: usize = 3_072;

/// An assignment as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment(Option<Assigned>);

/// A tie that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// How.
    pub tie: Tie,
    /// Since when.
    pub at: Timestamp,
}

/// The id of the stream of a policy's tie to a group.
#[must_use]
pub fn stream_id(policy: PolicyId, group: GroupId) -> Uuid {
    id::derive("assignment", &[policy.as_bytes(), group.as_bytes()])
}

impl Assignment {
    /// The tie, if it holds.
    #[must_use]
    pub const fn assigned(&self) -> Option<&Assigned> {
        self.0.as_ref()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// A tie that cannot be.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        Ok(match command {
            Command::Assign { policy, group, tie, now } => {
                check(tie)?;
                if self.0.as_ref().is_some_and(|assigned| assigned.tie == *tie) {
                    return Ok(vec![]);
                }
                vec![Event::Assigned { policy: *policy, group: *group, tie: tie.clone(), at: *now }]
            }
            Command::Unassign { policy, group } if self.0.is_some() => {
                vec![Event::Unassigned { policy: *policy, group: *group }]
            }
            Command::Unassign { .. } => vec![],
        })
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        self.0 = match event {
            Event::Assigned { tie, at, .. } => Some(Assigned { tie: tie.clone(), at: *at }),
            Event::Unassigned { .. } => None,
        };
    }
}

fn check(tie: &Tie) -> Result<(), Error> {
    let Tie { intent, priority, filter } = tie;
    if *intent == Intent::Exclude && priority.is_some() {
        return Err(Error::PriorityOfExclusion);
    }
    let found = filter.chars().count();
    if found > FILTER_CHARS_MAX {
        return Err(Error::FilterTooLong { found });
    }
    Ok(())
}
