//! The rules of an assignment.

use muster_types::{GroupId, PolicyId, Timestamp, id};
use uuid::Uuid;

use super::{Command, Error, Event, Intent};

/// An assignment as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment(Option<Assigned>);

/// A tie that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// In or out.
    pub intent: Intent,
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
    /// None so far.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let (policy, group) = match *command {
            Command::Assign { policy, group, .. } | Command::Unassign { policy, group } => (policy, group),
        };
        Ok(match (self.0, command) {
            (Some(Assigned { intent: is, .. }), Command::Assign { intent, .. }) if is == *intent => vec![],
            (_, Command::Assign { intent, now, .. }) => {
                vec![Event::Assigned { policy, group, intent: *intent, at: *now }]
            }
            (Some(_), Command::Unassign { .. }) => vec![Event::Unassigned { policy, group }],
            (None, Command::Unassign { .. }) => vec![],
        })
    }

    /// Folds an event.
    pub const fn evolve(&mut self, event: &Event) {
        self.0 = match *event {
            Event::Assigned { intent, at, .. } => Some(Assigned { intent, at }),
            Event::Unassigned { .. } => None,
        };
    }
}
