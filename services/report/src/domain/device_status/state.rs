//! The rules of a device's status.

use muster_types::Digest;

use super::{Command, Error, Event};

/// A device's status as its events tell it: the digest is all that the rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceStatus {
    /// Digest of what the device last said; none before it said anything.
    pub digest: Option<Digest>,
}

impl DeviceStatus {
    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the report is out of bounds.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let Command::Report { status } = command;
        status.check()?;
        if self.digest == Some(status.digest()) {
            return Ok(vec![]);
        }
        Ok(vec![Event::Reported { status: status.clone() }])
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        let Event::Reported { status } = event;
        self.digest = Some(status.digest());
    }
}
