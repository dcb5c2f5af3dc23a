//! A decision under way: what was decided so far, and where that leaves the device.

use muster_types::EnrollmentCode;

use super::{Enrollment, Event, ManagedBy, Onboarded, Outcome, Rules, Seat};
use crate::domain::facts::DeviceFacts;
use crate::domain::tags::{self, TAGS_MAX};
use crate::domain::trouble::Trouble;
use crate::domain::verdict::assess;

/// Where a device should stand.
pub(super) enum Standing {
    /// Permitted; trust is missing.
    Pending {
        /// Who manages it meanwhile.
        authority: ManagedBy,
    },
    /// Managed by this channel.
    Succeeded {
        /// `ENROLLED`, or a warning.
        code: EnrollmentCode,
    },
    /// Not managed by this channel.
    Refused {
        /// Why.
        code: EnrollmentCode,
        /// The reason for people.
        message: Box<str>,
        /// Who manages it instead.
        authority: ManagedBy,
    },
}

impl Standing {
    /// Who manages the device.
    pub(super) const fn authority(&self) -> ManagedBy {
        match self {
            Self::Pending { authority } | Self::Refused { authority, .. } => *authority,
            Self::Succeeded { .. } => ManagedBy::Muster,
        }
    }

    /// Whether the device stands there already.
    fn holds(&self, known: &Onboarded) -> bool {
        match self {
            Self::Pending { .. } => known.outcome == Outcome::Pending,
            Self::Succeeded { code } => known.outcome == Outcome::Succeeded && known.code == *code,
            Self::Refused { code, message, .. } => {
                known.outcome == Outcome::Refused && known.code == *code && known.message == *message
            }
        }
    }
}

/// A decision under way.
pub(super) struct Draft {
    /// The enrollment with what was decided so far.
    pub(super) enrollment: Enrollment,
    /// What that is.
    pub(super) events: Vec<Event>,
    /// Who managed the device before.
    authority: ManagedBy,
    /// Whether it had a seat before.
    has_seat: bool,
}

impl Draft {
    /// Nothing decided yet.
    pub(super) fn of(enrollment: &Enrollment) -> Self {
        Self {
            enrollment: enrollment.clone(),
            events: Vec::new(),
            authority: enrollment.onboarded().map_or(ManagedBy::Nobody, |known| known.authority),
            has_seat: enrollment.takes_seat(),
        }
    }

    /// Notes that something happens.
    pub(super) fn happens(&mut self, event: Event) {
        self.enrollment.evolve(&event);
        self.events.push(event);
    }

    /// Notes facts, if they are others than before.
    pub(super) fn facts(&mut self, facts: &DeviceFacts) {
        if self.enrollment.onboarded().is_some_and(|known| known.facts_digest != facts.digest()) {
            self.happens(Event::FactsChanged { facts: facts.clone() });
        }
    }

    /// Notes troubles, if there are any and others than the last.
    pub(super) fn troubles(&mut self, troubles: &[Trouble]) {
        let news = |known: &Onboarded| known.troubles != troubles;
        if !troubles.is_empty() && self.enrollment.onboarded().is_some_and(news) {
            self.happens(Event::TroubleReported { troubles: troubles.to_vec() });
        }
    }

    /// Sets what a token gives, as far as the device has room for it.
    pub(super) fn tagged(&mut self, given: &[Box<str>]) {
        let Some(known) = self.enrollment.onboarded() else { return };
        let mut added = tags::missing(given, &known.tags);
        added.truncate(TAGS_MAX.saturating_sub(known.tags.len()));
        if !added.is_empty() {
            self.happens(Event::Tagged { added, removed: Vec::new() });
        }
    }

    /// Where the device should stand by these rules; nowhere else while it is leaving or gone.
    pub(super) fn standing(&self, rules: &Rules<'_>) -> Option<Standing> {
        let known = self.enrollment.onboarded().filter(|known| known.outcome.is_open())?;
        let verdict = assess(&known.traits, &known.tags, rules.scope);
        let seated = rules.seat == Seat::Free || (rules.seat == Seat::Taken && self.has_seat);
        Some(if !verdict.permits() {
            let (code, message) = (verdict.code, verdict.message.into());
            Standing::Refused { code, message, authority: verdict.authority }
        } else if !seated {
            let message = "all seats that the tenant is entitled to are taken".into();
            let (code, authority) = (EnrollmentCode::SeatsExhausted, ManagedBy::Nobody);
            Standing::Refused { code, message, authority }
        } else if known.key_trusted {
            Standing::Succeeded { code: verdict.code }
        } else {
            // One that comes back with a new key is managed by the trust it has.
            let trusted = known.spiffe_id.is_some();
            Standing::Pending { authority: if trusted { ManagedBy::Muster } else { ManagedBy::Nobody } }
        })
    }

    /// The events with those that bring the device where it should stand.
    pub(super) fn settled(mut self, rules: &Rules<'_>) -> Vec<Event> {
        let standing = self.standing(rules);
        let (Some(standing), Some(known)) = (standing, self.enrollment.onboarded()) else {
            return self.events;
        };
        let (holds, authority) = (standing.holds(known), standing.authority());
        let spiffe_id = known.spiffe_id.clone().unwrap_or_default();
        let (scope_version, request) = (rules.scope_version, rules.request);
        if !holds {
            self.happens(match standing {
                Standing::Pending { .. } => Event::Permitted { scope_version },
                Standing::Succeeded { code } => {
                    Event::Succeeded { spiffe_id, managed_by: authority, code, scope_version }
                }
                Standing::Refused { code, message, .. } => {
                    Event::Refused { code, message, scope_version, request }
                }
            });
        }
        self.managed_by(authority);
        self.events
    }

    /// Notes who manages the device from now on, if that is somebody else.
    pub(super) fn managed_by(&mut self, to: ManagedBy) {
        let (from, known) = (self.authority, self.enrollment.onboarded());
        if let Some(code) = known.map(|known| known.code).filter(|_| from != to) {
            self.happens(Event::AuthorityChanged { from, to, code });
        }
    }
}
