//! The rules of a sync.

use muster_types::RequestId;

use super::{Command, Error, Event};

/// What was asked, of a device or of many, as events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sync {
    last: Option<RequestId>,
}

impl Sync {
    /// Decides a command. Nothing comes of asking nobody.
    ///
    /// # Errors
    /// None so far.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let (event, request) = match command {
            Command::Request { request } => (Event::Requested { request: *request }, *request),
            Command::RequestMany { devices, .. } if devices.is_empty() => return Ok(vec![]),
            Command::RequestMany { devices, request } => {
                (Event::ManyRequested { devices: devices.clone(), request: *request }, *request)
            }
        };
        let news = self.last != Some(request);
        Ok(news.then_some(event).into_iter().collect())
    }

    /// Folds an event.
    pub const fn evolve(&mut self, event: &Event) {
        let (Event::Requested { request } | Event::ManyRequested { devices: _, request }) = event;
        self.last = Some(*request);
    }
}
