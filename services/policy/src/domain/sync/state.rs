//! The rules of a sync.

use muster_types::RequestId;

use super::{Command, Error, Event};

/// What was asked of a device as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sync {
    last: Option<RequestId>,
}

impl Sync {
    /// Decides a command.
    ///
    /// # Errors
    /// None so far.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let Command::Request { request } = *command;
        let news = self.last != Some(request);
        Ok(news.then_some(Event::Requested { request }).into_iter().collect())
    }

    /// Folds an event.
    pub const fn evolve(&mut self, event: &Event) {
        let Event::Requested { request } = *event;
        self.last = Some(request);
    }
}
