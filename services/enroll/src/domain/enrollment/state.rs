//! The rules of an enrollment.

use muster_types::{Digest, RequestId, TokenId};

use super::{Command, Error, Event, ManagedBy};
use crate::domain::facts::DeviceFacts;

/// A device's enrollment as its events tell it; not there before it is onboarded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enrollment(Option<Onboarded>);

/// The enrollment of a device that was onboarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboarded {
    /// The token it last came with.
    pub token: TokenId,
    /// SHA-256 of the public key it last came with.
    pub key_digest: Digest,
    /// The request that last onboarded it.
    pub request: RequestId,
    /// Digest of what it last said of itself.
    pub facts_digest: Digest,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an enrollment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Trust is not established yet.
    Pending,
    /// Enrolled.
    Succeeded,
    /// Refused.
    Refused,
}

impl Enrollment {
    /// The enrollment, if the device was onboarded.
    #[must_use]
    pub const fn onboarded(&self) -> Option<&Onboarded> {
        self.0.as_ref()
    }

    /// Decides a command.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Error> {
        match (&self.0, command) {
            (known, Command::Onboard { token, key_digest, facts, request }) => {
                facts.check()?;
                Ok(match known {
                    Some(known) if known.token == *token && known.key_digest == *key_digest => {
                        known.facts_changed(facts)
                    }
                    _ => vec![Event::Onboarded {
                        token: *token,
                        key_digest: *key_digest,
                        facts: facts.clone(),
                        request: *request,
                    }],
                })
            }
            (Some(known), Command::ReportFacts { facts }) => {
                facts.check()?;
                Ok(known.facts_changed(facts))
            }
            (Some(known), Command::Succeed { key_digest, spiffe_id }) => {
                // Trust in a key that the device has replaced since says nothing about this enrollment.
                let news = known.outcome == Outcome::Pending && known.key_digest == *key_digest;
                let succeeded =
                    || Event::Succeeded { spiffe_id: spiffe_id.clone(), managed_by: ManagedBy::Muster };
                Ok(news.then(succeeded).into_iter().collect())
            }
            (None, Command::ReportFacts { .. } | Command::Succeed { .. }) => Err(Error::Unknown),
        }
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (enrollment, Event::Onboarded { token, key_digest, facts, request }) => {
                *enrollment = Some(Onboarded {
                    token: *token,
                    key_digest: *key_digest,
                    request: *request,
                    facts_digest: facts.digest(),
                    outcome: Outcome::Pending,
                });
            }
            (Some(known), Event::FactsChanged { facts }) => known.facts_digest = facts.digest(),
            (Some(known), Event::Succeeded { .. }) => known.outcome = Outcome::Succeeded,
            (Some(known), Event::Refused { .. }) => known.outcome = Outcome::Refused,
            (None, Event::FactsChanged { .. } | Event::Succeeded { .. } | Event::Refused { .. }) => {}
        }
    }
}

impl Onboarded {
    fn facts_changed(&self, facts: &DeviceFacts) -> Vec<Event> {
        let changed = facts.digest() != self.facts_digest;
        changed.then(|| Event::FactsChanged { facts: facts.clone() }).into_iter().collect()
    }
}
