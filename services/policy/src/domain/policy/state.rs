//! The rules of a policy.

use std::collections::BTreeMap;

use muster_types::{Digest, RequestId, SettingId, SettingValue, Timestamp};

use super::{Command, Content, Error, Event, OnUnassign, revision_id};
use crate::domain::Origin;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 256;

/// A policy as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy(Option<Known>);

/// A policy that was made, in its latest revision.
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
    /// When it was deleted, if it is.
    pub delete_time: Option<Timestamp>,
    /// Who made the latest revision, as the log writes it.
    pub actor: String,
    /// Why, as they said.
    pub reason: String,
    /// The requests that changed it, in order.
    requests: Vec<RequestId>,
    /// Name and id of revision 1: what a repeated creation is told by.
    created: (String, Digest),
}

impl Known {
    /// The etag of the resource; changes with every revision.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.revision)
    }

    /// Names the revision by its content.
    #[must_use]
    pub fn revision_id(&self) -> Digest {
        revision_id(&self.profile, &self.settings, self.on_unassign)
    }

    fn check_etag(&self, expected: &str) -> Result<(), Error> {
        let found = self.etag();
        if expected.is_empty() || expected == found {
            return Ok(());
        }
        Err(Error::EtagMismatch { expected: expected.to_owned(), found })
    }

    /// A lost reply is asked for again, with what was asked; anything else is another request, with an id of its own.
    fn check_request(&self, origin: &Origin) -> Result<(), Error> {
        if self.requests.contains(&origin.request) { Err(Error::RequestReused) } else { Ok(()) }
    }

    fn says(&self, content: &Content) -> bool {
        let Content { display_name, settings, on_unassign } = content;
        self.display_name == *display_name && self.settings == *settings && self.on_unassign == *on_unassign
    }

    fn revise(
        &self,
        content: Content,
        rolled_back_to: Option<u64>,
        (etag, origin): (&str, &Origin),
    ) -> Result<Vec<Event>, Error> {
        check_name(&content.display_name)?;
        // A lost reply is asked for again with the old etag: what holds already is not refused.
        if self.says(&content) {
            return Ok(vec![]);
        }
        self.check_request(origin)?;
        self.check_etag(etag)?;
        let revision = self.revision + 1;
        Ok(vec![Event::Revised { revision, content, rolled_back_to, origin: origin.clone() }])
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
    pub fn known(&self) -> Option<&Known> {
        self.0.as_ref().filter(|known| known.delete_time.is_none())
    }

    /// The policy, if it was ever made; it may be deleted.
    #[must_use]
    pub const fn made(&self) -> Option<&Known> {
        self.0.as_ref()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Create { profile, content, origin } => self.create(profile, content, origin),
            Command::Revise { content, etag, origin } => {
                self.there()?.revise(content.clone(), None, (etag, origin))
            }
            Command::RollBack { to, settings, on_unassign, etag, origin } => {
                let known = self.there()?;
                let display_name = known.display_name.clone();
                let content = Content { display_name, settings: settings.clone(), on_unassign: *on_unassign };
                known.revise(content, Some(*to), (etag, origin))
            }
            Command::Delete { etag, origin } => self.delete(etag, origin),
            Command::Undelete { origin } => self.undelete(origin),
        }
    }

    fn there(&self) -> Result<&Known, Error> {
        self.known().ok_or(Error::Unknown)
    }

    fn create(&self, profile: &str, content: &Content, origin: &Origin) -> Result<Vec<Event>, Error> {
        let Content { display_name, settings, on_unassign } = content;
        check_name(display_name)?;
        let Some(known) = &self.0 else {
            let (profile, content, origin) = (profile.to_owned(), content.clone(), origin.clone());
            return Ok(vec![Event::Created { profile, content, origin }]);
        };
        let asked = (display_name.clone(), revision_id(profile, settings, *on_unassign));
        if known.delete_time.is_none() && known.created == asked {
            return Ok(vec![]);
        }
        Err(Error::RequestReused)
    }

    fn delete(&self, etag: &str, origin: &Origin) -> Result<Vec<Event>, Error> {
        let known = self.made().ok_or(Error::Unknown)?;
        if known.delete_time.is_some() {
            let repeated = known.requests.last() == Some(&origin.request);
            return if repeated { Ok(vec![]) } else { Err(Error::Unknown) };
        }
        known.check_request(origin)?;
        known.check_etag(etag)?;
        Ok(vec![Event::Deleted { origin: origin.clone() }])
    }

    fn undelete(&self, origin: &Origin) -> Result<Vec<Event>, Error> {
        let known = self.made().ok_or(Error::Unknown)?;
        if known.delete_time.is_none() {
            return Ok(vec![]);
        }
        known.check_request(origin)?;
        Ok(vec![Event::Undeleted { origin: origin.clone() }])
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        if let Event::Created { profile, content, origin } = event {
            self.0 = Some(made(profile, content, origin));
            return;
        }
        let Some(known) = &mut self.0 else { return };
        match event {
            Event::Created { .. } => {}
            Event::Revised { revision, content, rolled_back_to: _, origin } => {
                let Content { display_name, settings, on_unassign } = content;
                known.display_name.clone_from(display_name);
                known.settings.clone_from(settings);
                known.on_unassign = *on_unassign;
                known.revision = *revision;
                known.update_time = origin.at;
                known.actor.clone_from(&origin.actor);
                known.reason.clone_from(&origin.reason);
                known.requests.push(origin.request);
            }
            Event::Deleted { origin } => {
                known.delete_time = Some(origin.at);
                known.requests.push(origin.request);
            }
            Event::Undeleted { origin } => {
                known.delete_time = None;
                known.requests.push(origin.request);
            }
        }
    }
}

fn made(profile: &str, content: &Content, origin: &Origin) -> Known {
    let Content { display_name, settings, on_unassign } = content.clone();
    let Origin { actor, reason, request, at } = origin.clone();
    let id = revision_id(profile, &settings, on_unassign);
    Known {
        created: (display_name.clone(), id),
        display_name,
        profile: profile.to_owned(),
        settings,
        on_unassign,
        revision: 1,
        create_time: at,
        update_time: at,
        delete_time: None,
        actor,
        reason,
        requests: vec![request],
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    match name.chars().count() {
        0 => Err(Error::Name("must not be empty")),
        count if count > NAME_CHARS_MAX => Err(Error::Name("must have at most 256 characters")),
        _ if name.chars().any(char::is_control) => Err(Error::Name("must not hold control characters")),
        _ => Ok(()),
    }
}
