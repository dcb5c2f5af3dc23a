//! The rules of what is noted of sessions.

use muster_types::RequestId;

use super::{Command, Error, Event};

/// What was noted of a device's sessions as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    last: Option<RequestId>,
}

impl Session {
    /// Decides a command.
    ///
    /// # Errors
    /// None so far.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let Command::Observe { boots, request } = *command;
        let news = self.last != Some(request);
        Ok(news.then_some(Event::TurnsObserved { boots, request }).into_iter().collect())
    }

    /// Folds an event.
    pub const fn evolve(&mut self, event: &Event) {
        let Event::TurnsObserved { boots: _, request } = *event;
        self.last = Some(request);
    }
}
