//! The rules of an enrollment.

use muster_types::{EnrollmentCode, TokenId};

use super::draft::{Draft, Standing};
use super::{Command, Enrollment, Error, Event, ManagedBy, Onboarded, Outcome, Rules};
use crate::domain::facts::DeviceFacts;
use crate::domain::tags::{self, InvalidTags, TAGS_MAX};
use crate::domain::trouble::{self, Trouble};

impl Enrollment {
    /// Decides a command. Whatever may change the outcome is followed by it: the device is assessed anew with what is
    /// then known of it, and who manages it follows.
    ///
    /// # Errors
    /// [`Error`] when the rules refuse it. A device that may not be managed is no error but an event.
    pub fn decide(&self, command: &Command, rules: &Rules<'_>) -> Result<Vec<Event>, Error> {
        match (self.onboarded(), command) {
            (_, Command::Onboard { .. }) => self.onboard(command, rules),
            (None, _) => Err(Error::Unknown),
            (Some(known), Command::ReportFacts { facts, troubles }) => {
                known.present()?;
                self.report(facts, troubles, rules)
            }
            (Some(known), Command::Succeed { key_digest, spiffe_id }) => {
                // Trust in a key that the device has replaced since says nothing about this enrollment.
                let news = known.key_digest == *key_digest && known.outcome.is_open() && !known.key_trusted;
                Ok(if news { self.trusted(spiffe_id, rules) } else { vec![] })
            }
            (Some(_), Command::Redecide) => Ok(Draft::of(self).settled(rules)),
            (Some(known), Command::Tag { add, remove }) => {
                known.present()?;
                self.tag(known, add, remove, rules)
            }
            (Some(known), Command::RequestOffboarding { expire_time, now }) => match known.outcome {
                Outcome::Offboarded => Ok(vec![]),
                Outcome::Offboarding if known.order_expire_time.is_some_and(|until| *now < until) => {
                    Ok(vec![])
                }
                Outcome::Deleted => Err(Error::Gone { code: known.code }),
                Outcome::Pending | Outcome::Succeeded | Outcome::Refused | Outcome::Offboarding => {
                    Ok(vec![Event::OffboardingRequested { expire_time: *expire_time }])
                }
            },
            (Some(known), Command::ConfirmOffboarding(taken_back)) => match known.outcome {
                Outcome::Offboarded => Ok(vec![]),
                Outcome::Offboarding => Ok(self.gone(Event::Offboarded(taken_back.clone()))),
                Outcome::Pending | Outcome::Succeeded | Outcome::Refused | Outcome::Deleted => {
                    Err(Error::NoOrder)
                }
            },
            (Some(known), Command::Delete | Command::Merge { .. }) if known.outcome == Outcome::Deleted => {
                Ok(vec![])
            }
            (Some(_), Command::Delete) => Ok(self.gone(Event::Deleted)),
            (Some(_), Command::Merge { into }) => Ok(self.gone(Event::Merged { into: *into })),
            (Some(known), Command::AllowReenrollment) => {
                let news = known.outcome.is_gone() && !known.reenrollment_allowed;
                Ok(news.then_some(Event::ReenrollmentAllowed).into_iter().collect())
            }
        }
    }

    fn onboard(&self, command: &Command, rules: &Rules<'_>) -> Result<Vec<Event>, Error> {
        let Command::Onboard { token, tags, key_digest, facts, troubles } = command else {
            return Ok(vec![]);
        };
        facts.check()?;
        trouble::check(troubles)?;
        if let Some(known) = self.onboarded() {
            known.may_come()?;
        }
        let again = |known: &&Onboarded| known.came_with(*token, key_digest) && !known.outcome.is_gone();
        let mut draft = Draft::of(self);
        let comes_in = Event::Onboarded {
            token: *token,
            key_digest: *key_digest,
            facts: facts.clone(),
            request: rules.request,
        };
        match self.onboarded().filter(again) {
            None => {
                draft.happens(comes_in);
                draft.tagged(tags);
            }
            Some(_) if self.waits_for_token(*token, facts, rules) => draft.happens(comes_in),
            Some(_) => draft.facts(facts),
        }
        draft.troubles(troubles);
        Ok(draft.settled(rules))
    }

    /// Whether a device that was refused each time it asked may come in now: only then is its token used.
    fn waits_for_token(&self, token: TokenId, facts: &DeviceFacts, rules: &Rules<'_>) -> bool {
        let mut draft = Draft::of(self);
        draft.facts(facts);
        let unused = |known: &Onboarded| known.token_used_by.is_none() && known.token == token;
        let permitted =
            draft.standing(rules).is_some_and(|standing| !matches!(standing, Standing::Refused { .. }));
        permitted && self.onboarded().is_some_and(unused)
    }

    fn report(
        &self,
        facts: &DeviceFacts,
        troubles: &[Trouble],
        rules: &Rules<'_>,
    ) -> Result<Vec<Event>, Error> {
        facts.check()?;
        trouble::check(troubles)?;
        let mut draft = Draft::of(self);
        draft.facts(facts);
        draft.troubles(troubles);
        // What did not change is not decided anew: a change of scope is the business of whoever changed it.
        let changed = draft.events.iter().any(|event| matches!(event, Event::FactsChanged { .. }));
        Ok(if changed { draft.settled(rules) } else { draft.events })
    }

    fn trusted(&self, spiffe_id: &str, rules: &Rules<'_>) -> Vec<Event> {
        let mut draft = Draft::of(self);
        if let Some(known) = &mut draft.enrollment.0 {
            known.key_trusted = true;
        }
        let Some(standing) = draft.standing(rules) else { return draft.events };
        // A device that has fallen out of scope meanwhile has its trust all the same, and keeps it.
        let code = match standing {
            Standing::Succeeded { code } => code,
            Standing::Pending { .. } | Standing::Refused { .. } => EnrollmentCode::Enrolled,
        };
        draft.happens(Event::Succeeded {
            spiffe_id: spiffe_id.into(),
            managed_by: standing.authority(),
            code,
            scope_version: rules.scope_version,
        });
        draft.settled(rules)
    }

    fn tag(
        &self,
        known: &Onboarded,
        add: &[Box<str>],
        remove: &[Box<str>],
        rules: &Rules<'_>,
    ) -> Result<Vec<Event>, Error> {
        tags::check(add)?;
        tags::check(remove)?;
        if let Some(tag) = add.iter().find(|tag| remove.binary_search(tag).is_ok()) {
            return Err(InvalidTags::Both { tag: tag.clone() }.into());
        }
        let added = tags::missing(add, &known.tags);
        let removed: Vec<_> =
            remove.iter().filter(|tag| known.tags.binary_search(tag).is_ok()).cloned().collect();
        let found = known.tags.len() + added.len() - removed.len();
        if !added.is_empty() && found > TAGS_MAX {
            return Err(InvalidTags::TooMany { found }.into());
        }
        if added.is_empty() && removed.is_empty() {
            return Ok(vec![]);
        }
        let mut draft = Draft::of(self);
        draft.happens(Event::Tagged { added, removed });
        Ok(draft.settled(rules))
    }

    fn gone(&self, how: Event) -> Vec<Event> {
        let mut draft = Draft::of(self);
        draft.happens(how);
        draft.managed_by(ManagedBy::Nobody);
        draft.events
    }
}

impl Onboarded {
    fn present(&self) -> Result<(), Error> {
        if self.outcome.is_gone() { Err(Error::Gone { code: self.code }) } else { Ok(()) }
    }

    fn may_come(&self) -> Result<(), Error> {
        if self.outcome == Outcome::Offboarding {
            Err(Error::Leaving)
        } else if self.reenrollment_allowed {
            Ok(())
        } else {
            self.present()
        }
    }
}
