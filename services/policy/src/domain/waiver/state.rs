//! The rules of a waiver.

use std::time::Duration;

use muster_types::Timestamp;

use super::{Command, Error, Event, Grant};
use crate::domain::Origin;

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 1_024;
/// Longest name of an approver, in characters.
pub const APPROVER_CHARS_MAX: usize = 256;
/// How long a waiver lasts at most.
pub const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A waiver as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiver(Option<Known>);

/// A waiver that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it says.
    pub grant: Grant,
    /// Where it comes from.
    pub origin: Origin,
    /// How it ended; none while it exempts.
    pub end: Option<End>,
}

/// How a waiver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its time is over.
    Expired(Timestamp),
    /// An admin ended it.
    Revoked(Timestamp),
}

impl Known {
    /// Whether it exempts.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.end.is_none()
    }
}

impl Waiver {
    /// The waiver, if it was granted.
    #[must_use]
    pub const fn known(&self) -> Option<&Known> {
        self.0.as_ref()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (&self.0, command) {
            (Some(known), Command::Grant { grant, origin }) => {
                let repeated = known.grant == *grant && known.origin.reason == origin.reason;
                if repeated { Ok(vec![]) } else { Err(Error::RequestReused) }
            }
            (None, Command::Grant { grant, origin }) => {
                check(grant, origin)?;
                Ok(vec![Event::Granted { grant: grant.clone(), origin: origin.clone() }])
            }
            (None, Command::Revoke { .. } | Command::Expire { .. }) => Err(Error::Unknown),
            (Some(known), Command::Revoke { origin }) if known.is_active() => {
                Ok(vec![Event::Revoked { origin: origin.clone() }])
            }
            (Some(known), Command::Expire { now }) if known.is_active() && known.grant.expire <= *now => {
                Ok(vec![Event::Expired { at: *now }])
            }
            (Some(_), Command::Revoke { .. } | Command::Expire { .. }) => Ok(vec![]),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        let end = match event {
            Event::Granted { grant, origin } => {
                self.0 = Some(Known { grant: grant.clone(), origin: origin.clone(), end: None });
                return;
            }
            Event::Revoked { origin } => End::Revoked(origin.at),
            Event::Expired { at } => End::Expired(*at),
        };
        if let Some(known) = &mut self.0 {
            known.end = Some(end);
        }
    }
}

fn check(grant: &Grant, origin: &Origin) -> Result<(), Error> {
    match origin.reason.chars().count() {
        1..=REASON_CHARS_MAX => {}
        found => return Err(Error::Reason { found }),
    }
    match grant.approver.chars().count() {
        1..=APPROVER_CHARS_MAX => {}
        found => return Err(Error::Approver { found }),
    }
    if grant.expire <= origin.at {
        return Err(Error::EndsInThePast);
    }
    if grant.expire.since(origin.at) > TIME_MAX {
        return Err(Error::LastsTooLong);
    }
    Ok(())
}
