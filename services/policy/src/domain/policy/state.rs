//! The rules of a policy.

use std::collections::BTreeMap;

use muster_types::{Digest, RequestId, SettingId, SettingValue, Timestamp, setting};

use super::{Command, Error, Event, OnUnassign};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 256;

/// A policy as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Policy {
    /// Not made yet.
    #[default]
    Absent,
    /// There.
    Present(Known),
    /// Gone.
    Deleted {
        /// The request that deleted it.
        request: RequestId,
    },
}

/// A policy that is there, in its latest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Name for people.
    pub display_name: String,
    /// Catalogue profile of its settings.
    pub profile: String,
    /// What it sets.
    pub settings: BTreeMap<SettingId, SettingValue>,
    /// What becomes of its settings on a device that it no longer reaches.
    pub on_unassign: OnUnassign,
    /// Counts revisions from 1.
    pub revision: u64,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last revised.
    pub update_time: Timestamp,
    /// The request that last changed it.
    request: RequestId,
    /// Name, etag of the settings and their end, of revision 1: what a repeated creation is told by.
    created: (String, Digest, OnUnassign),
}

impl Known {
    /// The etag of the resource; changes with every revision.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.revision)
    }

    fn check_etag(&self, expected: &str) -> Result<(), Error> {
        let found = self.etag();
        if expected.is_empty() || expected == found {
            return Ok(());
        }
        Err(Error::EtagMismatch { expected: expected.to_owned(), found })
    }
}

/// The etag of a revision.
#[must_use]
pub fn etag(revision: u64) -> String {
    format!("r{revision}")
}

impl Policy {
    /// The policy, if it is there.
    #[must_use]
    pub const fn known(&self) -> Option<&Known> {
        match self {
            Self::Present(known) => Some(known),
            Self::Absent | Self::Deleted { .. } => None,
        }
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (state, Command::Create { display_name, profile, settings, on_unassign, request, now }) => {
                check_name(display_name)?;
                match state {
                    Self::Absent => Ok(vec![Event::Created {
                        display_name: display_name.clone(),
                        profile: profile.clone(),
                        settings: settings.clone(),
                        on_unassign: *on_unassign,
                        request: *request,
                        at: *now,
                    }]),
                    Self::Present(known)
                        if known.profile == *profile
                            && known.created == (display_name.clone(), digest(settings), *on_unassign) =>
                    {
                        Ok(vec![])
                    }
                    Self::Present(_) | Self::Deleted { .. } => Err(Error::RequestReused),
                }
            }
            (
                Self::Present(known),
                Command::Revise { display_name, settings, on_unassign, etag, request, now },
            ) => {
                check_name(display_name)?;
                // A lost reply is asked for again with the old etag: what holds already is not refused.
                if known.display_name == *display_name
                    && known.settings == *settings
                    && known.on_unassign == *on_unassign
                {
                    return Ok(vec![]);
                }
                if known.request == *request {
                    return Err(Error::RequestReused);
                }
                known.check_etag(etag)?;
                Ok(vec![Event::Revised {
                    revision: known.revision + 1,
                    display_name: display_name.clone(),
                    settings: settings.clone(),
                    on_unassign: *on_unassign,
                    request: *request,
                    at: *now,
                }])
            }
            (Self::Present(known), Command::Delete { etag, request }) => {
                known.check_etag(etag)?;
                Ok(vec![Event::Deleted { request: *request }])
            }
            (Self::Deleted { request: by }, Command::Delete { etag: _, request }) if by == request => {
                Ok(vec![])
            }
            (Self::Absent | Self::Deleted { .. }, Command::Revise { .. } | Command::Delete { .. }) => {
                Err(Error::Unknown)
            }
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut *self, event) {
            (state, Event::Created { display_name, profile, settings, on_unassign, request, at }) => {
                *state = Self::Present(Known {
                    display_name: display_name.clone(),
                    profile: profile.clone(),
                    settings: settings.clone(),
                    on_unassign: *on_unassign,
                    revision: 1,
                    create_time: *at,
                    update_time: *at,
                    request: *request,
                    created: (display_name.clone(), digest(settings), *on_unassign),
                });
            }
            (
                Self::Present(known),
                Event::Revised { revision, display_name, settings, on_unassign, request, at },
            ) => {
                known.display_name.clone_from(display_name);
                known.settings.clone_from(settings);
                known.on_unassign = *on_unassign;
                known.revision = *revision;
                known.update_time = *at;
                known.request = *request;
            }
            (state, Event::Deleted { request }) => *state = Self::Deleted { request: *request },
            (Self::Absent | Self::Deleted { .. }, Event::Revised { .. }) => {}
        }
    }
}

fn digest(settings: &BTreeMap<SettingId, SettingValue>) -> Digest {
    setting::etag(settings)
}

fn check_name(name: &str) -> Result<(), Error> {
    match name.chars().count() {
        0 => Err(Error::Name("must not be empty")),
        count if count > NAME_CHARS_MAX => Err(Error::Name("must have at most 256 characters")),
        _ if name.chars().any(char::is_control) => Err(Error::Name("must not hold control characters")),
        _ => Ok(()),
    }
}
