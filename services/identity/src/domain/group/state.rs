//! The rules of a group.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

use super::change::membership_changed;
use super::command::Verdict;
use super::{Command, DISPLAY_NAME_CHARS_MAX, Error, Event};
use crate::domain::rule::Rule;

/// A group as its events tell it; not there before it is defined.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Group {
    /// It was never defined.
    #[default]
    Undefined,
    /// It is there.
    Defined(Defined),
    /// It was deleted; what it was.
    Deleted(Defined),
}

/// A group that was defined.
#[derive(Debug, Clone, PartialEq)]
pub struct Defined {
    /// Name for people.
    pub display_name: String,
    /// The rule of a dynamic group; none for a static one.
    pub rule: Option<Box<str>>,
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
        defined.map_or(Self::Undefined, Self::Defined)
    }
}

impl Group {
    /// The group, if it is there.
    #[must_use]
    pub const fn defined(&self) -> Option<&Defined> {
        match self {
            Self::Defined(defined) => Some(defined),
            Self::Undefined | Self::Deleted(_) => None,
        }
    }

    /// The group, also when it was deleted.
    #[must_use]
    pub const fn ever_defined(&self) -> Option<&Defined> {
        match self {
            Self::Defined(defined) | Self::Deleted(defined) => Some(defined),
            Self::Undefined => None,
        }
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Undefined, Command::Define { display_name, rule, obstacle, now }) => {
                check_name(display_name)?;
                check_rule(rule.as_deref(), obstacle.as_ref())?;
                Ok(vec![Event::Defined { display_name: display_name.clone(), rule: rule.clone(), at: *now }])
            }
            (Self::Defined(group), Command::Define { display_name, .. })
                if group.display_name == *display_name =>
            {
                Ok(vec![])
            }
            (Self::Defined(group) | Self::Deleted(group), Command::Define { .. }) => {
                Err(Error::RequestReused { display_name: group.display_name.clone() })
            }
            (Self::Defined(group), command) => group.decide(command),
            (Self::Deleted(_), Command::Delete { .. })
            | (Self::Undefined | Self::Deleted(_), Command::Resolve { .. } | Command::Leave { .. }) => {
                Ok(vec![])
            }
            (Self::Undefined | Self::Deleted(_), _) => Err(Error::Unknown),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut *self, event) {
            (group, Event::Defined { display_name, rule, at }) => {
                *group = Self::Defined(Defined {
                    display_name: display_name.clone(),
                    rule: rule.clone(),
                    members: RoaringBitmap::new(),
                    revision: 1,
                    create_time: *at,
                    membership_change_time: None,
                });
            }
            (Self::Defined(group), Event::MembershipChanged { added, removed, at }) => {
                group.members |= added;
                group.members -= removed;
                group.revision += 1;
                group.membership_change_time = Some(*at);
            }
            (Self::Defined(group), Event::RuleChanged { rule }) => {
                group.rule = Some(rule.clone());
                group.revision += 1;
            }
            (Self::Defined(group), Event::Deleted) => *self = Self::Deleted(group.clone()),
            (Self::Undefined | Self::Deleted(_), _) => {}
        }
    }
}

impl Defined {
    fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Define { .. } => Ok(vec![]),
            Command::ModifyMembers { add, remove, expected, now } => {
                self.modify(add, remove, *expected, *now)
            }
            Command::ChangeRule { rule, obstacle, expected } => {
                self.change_rule(rule, obstacle.as_ref(), *expected)
            }
            Command::Resolve { rule, verdict, now } => {
                let current = self.rule.as_ref() == Some(rule);
                Ok(if current { self.resolve(verdict, *now) } else { vec![] })
            }
            Command::Leave { gone, now } => {
                Ok(membership_changed(RoaringBitmap::new(), &self.members & gone, *now))
            }
            Command::Delete { expected, now } => {
                self.is_at(*expected)?;
                let mut events = membership_changed(RoaringBitmap::new(), self.members.clone(), *now);
                events.push(Event::Deleted);
                Ok(events)
            }
        }
    }

    /// What is already so makes no event and asks for no revision: a repeated request is no refusal.
    fn modify(
        &self,
        add: &RoaringBitmap,
        remove: &RoaringBitmap,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Vec<Event>, Error> {
        if self.rule.is_some() {
            return Err(Error::Dynamic);
        }
        if let Some(ordinal) = (add & remove).min() {
            return Err(Error::Contradiction { ordinal });
        }
        let (added, removed) = (add - &self.members, remove & &self.members);
        if !(added.is_empty() && removed.is_empty()) {
            self.is_at(expected)?;
        }
        Ok(membership_changed(added, removed, now))
    }

    fn change_rule(
        &self,
        rule: &str,
        obstacle: Option<&Error>,
        expected: Option<u64>,
    ) -> Result<Vec<Event>, Error> {
        let Some(present) = self.rule.as_deref() else { return Err(Error::Static) };
        if present == rule {
            return Ok(vec![]);
        }
        check_rule(Some(rule), obstacle)?;
        self.is_at(expected)?;
        Ok(vec![Event::RuleChanged { rule: rule.into() }])
    }

    /// Only the difference is told: what was told before a crash is not told again.
    fn resolve(&self, verdict: &Verdict, now: Timestamp) -> Vec<Event> {
        let Verdict { within, inside, unknown } = verdict;
        let looked_at = within.as_ref().map_or_else(|| self.members.clone(), |within| &self.members & within);
        let removed = looked_at - inside - unknown;
        membership_changed(inside - &self.members, removed, now)
    }

    fn is_at(&self, expected: Option<u64>) -> Result<(), Error> {
        match expected {
            Some(expected) if expected != self.revision => {
                Err(Error::Moved { expected, found: self.revision })
            }
            _ => Ok(()),
        }
    }
}

fn check_rule(rule: Option<&str>, obstacle: Option<&Error>) -> Result<(), Error> {
    rule.map(Rule::parse).transpose()?;
    obstacle.map_or(Ok(()), |obstacle| Err(obstacle.clone()))
}

fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    let sound = (1..=DISPLAY_NAME_CHARS_MAX).contains(&length)
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(Error::NameInvalid) }
}
