//! The rules of the settings of reports.

use muster_types::{RequestId, Timestamp};

use super::{Command, Error, Event, Values};

/// The settings as their events tell them; the defaults before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportSettings {
    values: Values,
    changes: u64,
    /// When they were last changed, and by which request.
    last: Option<(Timestamp, RequestId)>,
}

/// The etag after so many changes.
#[must_use]
pub fn etag(changes: u64) -> String {
    format!("r{changes}")
}

impl ReportSettings {
    /// The values that hold.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// How often they were changed; names them, see [`etag`].
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// When they were last changed; none while the defaults hold.
    #[must_use]
    pub fn update_time(&self) -> Option<Timestamp> {
        self.last.map(|(at, _)| at)
    }

    /// When they were last changed, and by which request; none while the defaults hold.
    #[must_use]
    pub const fn changed(&self) -> Option<(Timestamp, RequestId)> {
        self.last
    }

    /// The settings as they were kept.
    #[must_use]
    pub const fn restored(values: Values, changes: u64, last: (Timestamp, RequestId)) -> Self {
        Self { values, changes, last: Some(last) }
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let Command::Change { values, etag: expected, origin } = command;
        // A lost reply is asked for again with the old etag: what holds already is not refused.
        if self.values == *values {
            return Ok(vec![]);
        }
        if self.last.is_some_and(|(_, request)| request == origin.request) {
            return Err(Error::RequestReused);
        }
        let found = etag(self.changes);
        if !expected.is_empty() && *expected != found {
            return Err(Error::EtagMismatch { expected: expected.clone(), found });
        }
        match values.problems() {
            problems if problems.is_empty() => {
                Ok(vec![Event::Changed { values: *values, origin: origin.clone() }])
            }
            problems => Err(Error::OutOfBounds(problems)),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        let Event::Changed { values, origin } = event;
        self.values = *values;
        self.changes += 1;
        self.last = Some((origin.at, origin.request));
    }
}
