//! The rules of a directory device.

use muster_types::DeviceId;

use super::{Command, Error, Event, Record};

/// A directory device as its events tell it; not there before the directory told of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectoryDevice(Option<Box<Known>>);

/// A device that a directory told of at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What the directory last said.
    pub record: Record,
    /// The devices that may be it, while an admin must say which.
    pub ambiguous: Box<[DeviceId]>,
    /// Whether it was removed since.
    pub removed: bool,
}

impl From<Known> for DirectoryDevice {
    fn from(known: Known) -> Self {
        Self(Some(Box::new(known)))
    }
}

impl DirectoryDevice {
    /// What is known of it, also when it was removed.
    #[must_use]
    pub fn known(&self) -> Option<&Known> {
        self.0.as_deref()
    }

    /// What is known of it, unless it was removed.
    #[must_use]
    pub fn present(&self) -> Option<&Known> {
        self.known().filter(|known| !known.removed)
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self.present(), command) {
            (Some(known), Command::Upsert(record)) if known.record == *record => Ok(vec![]),
            (_, Command::Upsert(record)) => Ok(vec![Event::Upserted(record.clone())]),
            (Some(known), Command::Match(devices)) if *known.ambiguous == **devices => Ok(vec![]),
            (Some(_), Command::Match(devices)) => Ok(vec![Event::MatchAmbiguous(devices.clone())]),
            (Some(_), Command::Remove) => Ok(vec![Event::Removed]),
            (None, Command::Remove) if self.0.is_some() => Ok(vec![]),
            (None, Command::Match(_) | Command::Remove) => Err(Error::Unknown),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (Some(known), Event::Upserted(record)) => {
                known.record = record.clone();
                known.removed = false;
            }
            (none, Event::Upserted(record)) => {
                *none = Some(Box::new(Known {
                    record: record.clone(),
                    ambiguous: Box::default(),
                    removed: false,
                }));
            }
            (Some(known), Event::MatchAmbiguous(devices)) => known.ambiguous = devices.clone().into(),
            (Some(known), Event::Removed) => {
                known.removed = true;
                known.ambiguous = Box::default();
            }
            (None, Event::MatchAmbiguous(_) | Event::Removed) => {}
        }
    }
}
