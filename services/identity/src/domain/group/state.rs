//! The rules of a group.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

use super::{Command, DISPLAY_NAME_CHARS_MAX, Error, Event};

/// A group as its events tell it; not there before it is defined.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group(Option<Defined>);

/// A group that was defined.
#[derive(Debug, Clone, PartialEq)]
pub struct Defined {
    /// Name for people.
    pub display_name: String,
    /// Ordinals of its members.
    pub members: RoaringBitmap,
    /// How many events made it what it is.
    pub revision: u64,
    /// When it was defined.
    pub create_time: Timestamp,
    /// When its members last changed, if they did.
    pub membership_change_time: Option<Timestamp>,
}

impl From<Option<Defined>> for Group {
    fn from(defined: Option<Defined>) -> Self {
        Self(defined)
    }
}

impl Group {
    /// The group, if it was defined.
    #[must_use]
    pub const fn defined(&self) -> Option<&Defined> {
        self.0.as_ref()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (&self.0, command) {
            (None, Command::Define { display_name, namesake, now }) => {
                check_name(display_name)?;
                namesake.map_or(Ok(()), |by| Err(Error::NameTaken { by }))?;
                Ok(vec![Event::Defined { display_name: display_name.clone(), at: *now }])
            }
            (Some(group), Command::Define { display_name, .. }) if group.display_name == *display_name => {
                Ok(vec![])
            }
            (Some(group), Command::Define { .. }) => {
                Err(Error::RequestReused { display_name: group.display_name.clone() })
            }
            (Some(group), Command::ModifyMembers { add, remove, expected, now }) => {
                group.modify(add, remove, *expected, *now)
            }
            (None, Command::ModifyMembers { .. }) => Err(Error::Unknown),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (group, Event::Defined { display_name, at }) => {
                *group = Some(Defined {
                    display_name: display_name.clone(),
                    members: RoaringBitmap::new(),
                    revision: 1,
                    create_time: *at,
                    membership_change_time: None,
                });
            }
            (Some(group), Event::MembershipChanged { added, removed, at }) => {
                group.members |= added;
                group.members -= removed;
                group.revision += 1;
                group.membership_change_time = Some(*at);
            }
            (None, Event::MembershipChanged { .. }) => {}
        }
    }
}

impl Defined {
    /// What is already so makes no event and asks for no revision: a repeated request is no refusal.
    fn modify(
        &self,
        add: &RoaringBitmap,
        remove: &RoaringBitmap,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Error> {
        if let Some(ordinal) = (add & remove).min() {
            return Err(Error::Contradiction { ordinal });
        }
        let (added, removed) = (add - &self.members, remove & &self.members);
        if added.is_empty() && removed.is_empty() {
            return Ok(vec![]);
        }
        match expected {
            Some(expected) if expected != self.revision => {
                Err(Error::Moved { expected, found: self.revision })
            }
            _ => Ok(vec![Event::MembershipChanged { added, removed, at: now }]),
        }
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    let sound = (1..=DISPLAY_NAME_CHARS_MAX).contains(&length)
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(Error::NameInvalid) }
}
