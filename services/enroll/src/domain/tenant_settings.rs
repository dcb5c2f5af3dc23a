//! A tenant's settings: its enforcement scope, of which it always has one.

#[cfg(test)]
mod tests;

use muster_types::Timestamp;

use super::scope::{InvalidScope, Scope};

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Change the enforcement scope.
    ChangeScope {
        /// The scope from now on, whole.
        scope: Scope,
        /// Etag the scope must still have; empty means any.
        etag: String,
        /// The moment of the command.
        now: Timestamp,
    },
}

/// A fact. Its moment stands in the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An admin changed the enforcement scope.
    ScopeChanged {
        /// The scope from now on, whole.
        scope: Scope,
        /// When.
        at: Timestamp,
    },
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The scope makes no sense.
    #[error("the enforcement scope makes no sense")]
    Scope(#[from] InvalidScope),
    /// The scope is not what the admin saw.
    #[error("the enforcement scope moved on: expected etag {expected:?}, found {found:?}; read it again")]
    Etag {
        /// What the admin saw.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// A tenant's settings as their events tell them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantSettings {
    /// Which devices this channel may manage.
    pub scope: Scope,
    /// How often they changed: the version of their stream.
    pub version: u64,
    /// When they last changed.
    pub update_time: Option<Timestamp>,
}

/// The etag of a scope that was changed so many times.
#[must_use]
pub fn etag(version: u64) -> String {
    version.to_string()
}

impl TenantSettings {
    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        let Command::ChangeScope { scope, etag: expected, now } = command;
        scope.check()?;
        // A lost reply is asked for again with the old etag: what holds already is not refused.
        if *scope == self.scope {
            return Ok(vec![]);
        }
        let found = etag(self.version);
        if !expected.is_empty() && *expected != found {
            return Err(Error::Etag { expected: expected.clone(), found });
        }
        Ok(vec![Event::ScopeChanged { scope: scope.clone(), at: *now }])
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        let Event::ScopeChanged { scope, at } = event;
        self.scope = scope.clone();
        self.version += 1;
        self.update_time = Some(*at);
    }
}
