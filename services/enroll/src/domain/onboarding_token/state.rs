//! The rules of an onboarding token.

use muster_types::{Digest, Timestamp};
use subtle::ConstantTimeEq as _;

use super::{Command, Error, Event};
use crate::domain::facts::Platform;
use crate::domain::tags;

/// An onboarding token as its events tell it; not there before it is issued.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnboardingToken(Option<Issued>);

/// Longest name for people, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 256;

/// What an onboarding token lets in, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// How many devices it may onboard.
    pub uses_max: u32,
    /// Tags that devices get when they first come in with it, sorted.
    pub tags: Vec<Box<str>>,
    /// Platforms it lets in; empty means all.
    pub platforms: Vec<Platform>,
    /// What it is for.
    pub display_name: Box<str>,
}

/// An onboarding token that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// SHA-256 of the secret.
    pub secret_hash: Digest,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it stops working.
    pub expire_time: Timestamp,
    /// What it lets in, and what it gives.
    pub terms: Terms,
    /// How many devices it has onboarded.
    pub uses: u32,
    /// When a device last came in with it.
    pub last_use_time: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoke_time: Option<Timestamp>,
}

impl OnboardingToken {
    /// The token, if it was issued.
    #[must_use]
    pub const fn issued(&self) -> Option<&Issued> {
        self.0.as_ref()
    }

    /// Checks that a secret is this token's, in constant time, and that the token was not revoked.
    ///
    /// # Errors
    /// [`Error::Unknown`] and [`Error::Revoked`].
    pub fn admit(&self, secret_hash: &Digest) -> Result<(), Error> {
        let token = self.0.as_ref().ok_or(Error::Unknown)?;
        if !bool::from(token.secret_hash.ct_eq(secret_hash)) {
            return Err(Error::Unknown);
        }
        token.revoke_time.map_or(Ok(()), |revoke_time| Err(Error::Revoked { revoke_time }))
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (&self.0, command) {
            (None, Command::Issue { secret_hash, expire_time, terms, now }) => {
                terms.check()?;
                Ok(vec![Event::Issued {
                    secret_hash: *secret_hash,
                    expire_time: *expire_time,
                    terms: terms.clone(),
                    at: *now,
                }])
            }
            (Some(token), Command::Issue { terms, .. }) if token.terms == *terms => Ok(vec![]),
            (Some(token), Command::Issue { .. }) => {
                Err(Error::RequestReused { uses_max: token.terms.uses_max })
            }
            (None, Command::Use { .. } | Command::Revoke { .. }) => Err(Error::Unknown),
            (Some(token), Command::Use { device, platform, now }) => {
                token.open_at(*now)?;
                token.terms.let_in(*platform)?;
                Ok(vec![Event::Used { device: *device, at: *now }])
            }
            (Some(Issued { revoke_time: Some(_), .. }), Command::Revoke { .. }) => Ok(vec![]),
            (Some(_), Command::Revoke { now }) => Ok(vec![Event::Revoked { at: *now }]),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (token, Event::Issued { secret_hash, expire_time, terms, at }) => {
                *token = Some(Issued {
                    secret_hash: *secret_hash,
                    create_time: *at,
                    expire_time: *expire_time,
                    terms: terms.clone(),
                    uses: 0,
                    last_use_time: None,
                    revoke_time: None,
                });
            }
            (Some(token), Event::Used { device: _, at }) => {
                token.uses += 1;
                token.last_use_time = Some(*at);
            }
            (Some(token), Event::Revoked { at }) => token.revoke_time = Some(*at),
            (None, Event::Used { .. } | Event::Revoked { .. }) => {}
        }
    }
}

impl From<Option<Issued>> for OnboardingToken {
    fn from(issued: Option<Issued>) -> Self {
        Self(issued)
    }
}

impl Issued {
    fn open_at(&self, now: Timestamp) -> Result<(), Error> {
        if let Some(revoke_time) = self.revoke_time {
            return Err(Error::Revoked { revoke_time });
        }
        if now >= self.expire_time {
            return Err(Error::Expired { expire_time: self.expire_time });
        }
        let uses_max = self.terms.uses_max;
        if self.uses >= uses_max {
            return Err(Error::UsedUp { uses_max });
        }
        Ok(())
    }
}

impl Terms {
    fn check(&self) -> Result<(), Error> {
        let Self { uses_max: _, tags, platforms: _, display_name } = self;
        tags::check(tags)?;
        if display_name.chars().count() > DISPLAY_NAME_CHARS_MAX || display_name.chars().any(char::is_control)
        {
            return Err(Error::DisplayName);
        }
        Ok(())
    }

    fn let_in(&self, platform: Platform) -> Result<(), Error> {
        let fits = self.platforms.is_empty() || self.platforms.contains(&platform);
        if fits { Ok(()) } else { Err(Error::Platform { platform }) }
    }
}
