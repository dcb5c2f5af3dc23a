//! The rules of an enrollment.

use muster_types::{EnrollmentCode, TokenId};

use super::{Command, Enrollment, Error, Event, ManagedBy, Onboarded, Outcome, Rules, Seat};
use crate::domain::facts::DeviceFacts;
use crate::domain::tags::{self, InvalidTags, TAGS_MAX};
use crate::domain::trouble::{self, Trouble};
use crate::domain::verdict::assess;

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
            (Some(_), Command::Redecide) => Ok(self.draft().settled(rules)),
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
                _ => Ok(vec![Event::OffboardingRequested { expire_time: *expire_time }]),
            },
            (Some(known), Command::ConfirmOffboarding(taken_back)) => match known.outcome {
                Outcome::Offboarded => Ok(vec![]),
                Outcome::Offboarding => Ok(self.gone(Event::Offboarded(taken_back.clone()))),
                _ => Err(Error::NoOrder),
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
        let mut draft = self.draft();
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
        let mut draft = self.draft();
        draft.facts(facts);
        let unused = |known: &Onboarded| known.token_used_by.is_none() && known.token == token;
        let permitted = draft.standing(rules).is_some_and(|standing| standing.outcome != Outcome::Refused);
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
        let mut draft = self.draft();
        draft.facts(facts);
        draft.troubles(troubles);
        // What did not change is not decided anew: a change of scope is the business of whoever changed it.
        let changed = draft.events.iter().any(|event| matches!(event, Event::FactsChanged { .. }));
        Ok(if changed { draft.settled(rules) } else { draft.events })
    }

    fn trusted(&self, spiffe_id: &str, rules: &Rules<'_>) -> Vec<Event> {
        let mut draft = self.draft();
        if let Some(known) = &mut draft.enrollment.0 {
            known.key_trusted = true;
        }
        let Some(standing) = draft.standing(rules) else { return draft.events };
        let permitted = standing.outcome == Outcome::Succeeded;
        // A device that has fallen out of scope meanwhile has its trust all the same, and keeps it.
        draft.happens(Event::Succeeded {
            spiffe_id: spiffe_id.into(),
            managed_by: standing.authority,
            code: if permitted { standing.code } else { EnrollmentCode::Enrolled },
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
        let mut draft = self.draft();
        draft.happens(Event::Tagged { added, removed });
        Ok(draft.settled(rules))
    }

    fn gone(&self, how: Event) -> Vec<Event> {
        let mut draft = self.draft();
        draft.happens(how);
        draft.managed_by(ManagedBy::Nobody);
        draft.events
    }

    fn draft(&self) -> Draft {
        let known = self.onboarded();
        Draft {
            enrollment: self.clone(),
            events: Vec::new(),
            authority: known.map_or(ManagedBy::Nobody, |known| known.authority),
            has_seat: self.takes_seat(),
        }
    }
}

impl Onboarded {
    fn present(&self) -> Result<(), Error> {
        if self.outcome.is_gone() { Err(Error::Gone { code: self.code }) } else { Ok(()) }
    }

    fn may_come(&self) -> Result<(), Error> {
        match self.outcome {
            Outcome::Offboarding => Err(Error::Leaving),
            _ if self.reenrollment_allowed => Ok(()),
            _ => self.present(),
        }
    }
}

/// Where a device should stand.
struct Standing {
    outcome: Outcome,
    code: EnrollmentCode,
    message: Box<str>,
    authority: ManagedBy,
}

/// A decision under way.
struct Draft {
    /// The enrollment with what was decided so far.
    enrollment: Enrollment,
    events: Vec<Event>,
    /// Who managed the device before.
    authority: ManagedBy,
    /// Whether it had a seat before.
    has_seat: bool,
}

impl Draft {
    fn happens(&mut self, event: Event) {
        self.enrollment.evolve(&event);
        self.events.push(event);
    }

    fn facts(&mut self, facts: &DeviceFacts) {
        if self.enrollment.onboarded().is_some_and(|known| known.facts_digest != facts.digest()) {
            self.happens(Event::FactsChanged { facts: facts.clone() });
        }
    }

    fn troubles(&mut self, troubles: &[Trouble]) {
        let news = |known: &Onboarded| known.troubles != troubles;
        if !troubles.is_empty() && self.enrollment.onboarded().is_some_and(news) {
            self.happens(Event::TroubleReported { troubles: troubles.to_vec() });
        }
    }

    /// Sets what a token gives, as far as the device has room for it.
    fn tagged(&mut self, given: &[Box<str>]) {
        let Some(known) = self.enrollment.onboarded() else { return };
        let mut added = tags::missing(given, &known.tags);
        added.truncate(TAGS_MAX.saturating_sub(known.tags.len()));
        if !added.is_empty() {
            self.happens(Event::Tagged { added, removed: Vec::new() });
        }
    }

    /// Where the device should stand by these rules; nowhere else while it is leaving or gone.
    fn standing(&self, rules: &Rules<'_>) -> Option<Standing> {
        let known = self.enrollment.onboarded().filter(|known| known.outcome.is_open())?;
        let verdict = assess(&known.traits, &known.tags, rules.scope);
        let seated = rules.seat == Seat::Free || (rules.seat == Seat::Taken && self.has_seat);
        let refused = |code, message: &str, authority| Standing {
            outcome: Outcome::Refused,
            code,
            message: message.into(),
            authority,
        };
        Some(if !verdict.permits() {
            refused(verdict.code, &verdict.message, verdict.authority)
        } else if !seated {
            let message = "all seats that the tenant is entitled to are taken";
            refused(EnrollmentCode::SeatsExhausted, message, ManagedBy::Nobody)
        } else if known.key_trusted {
            let (outcome, code) = (Outcome::Succeeded, verdict.code);
            Standing { outcome, code, message: Box::default(), authority: ManagedBy::Muster }
        } else {
            // One that comes back with a new key is managed by the trust it has.
            let trusted = known.spiffe_id.is_some();
            Standing {
                outcome: Outcome::Pending,
                code: EnrollmentCode::Pending,
                message: Box::default(),
                authority: if trusted { ManagedBy::Muster } else { ManagedBy::Nobody },
            }
        })
    }

    /// The events with those that bring the device where it should stand.
    fn settled(mut self, rules: &Rules<'_>) -> Vec<Event> {
        let standing = self.standing(rules);
        let (Some(standing), Some(known)) = (standing, self.enrollment.onboarded()) else {
            return self.events;
        };
        let Standing { outcome, code, message, authority } = standing;
        let same = known.outcome == outcome && known.code == code && known.message == message;
        let (scope_version, request) = (rules.scope_version, rules.request);
        let spiffe_id = known.spiffe_id.clone().unwrap_or_default();
        if !same {
            self.happens(match outcome {
                Outcome::Refused => Event::Refused { code, message, scope_version, request },
                Outcome::Succeeded => {
                    Event::Succeeded { spiffe_id, managed_by: authority, code, scope_version }
                }
                _ => Event::Permitted { scope_version },
            });
        }
        self.managed_by(authority);
        self.events
    }

    fn managed_by(&mut self, to: ManagedBy) {
        let (from, known) = (self.authority, self.enrollment.onboarded());
        if let Some(code) = known.map(|known| known.code).filter(|_| from != to) {
            self.happens(Event::AuthorityChanged { from, to, code });
        }
    }
}
