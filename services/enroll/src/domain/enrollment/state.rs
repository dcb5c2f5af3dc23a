//! An enrollment as its events tell it.

use muster_types::{DeviceId, Digest, EnrollmentCode, RequestId, Timestamp, TokenId};

use super::{Event, ManagedBy};
use crate::domain::facts::DeviceFacts;
use crate::domain::tags;
use crate::domain::trouble::Trouble;
use crate::domain::verdict::Traits;

/// A device's enrollment as its events tell it; not there before it is onboarded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enrollment(pub(super) Option<Onboarded>);

/// The enrollment of a device that was onboarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboarded {
    /// The token it last came with.
    pub token: TokenId,
    /// SHA-256 of the public key it last came with.
    pub key_digest: Digest,
    /// The request that last onboarded it.
    pub request: RequestId,
    /// The onboarding that used the token up for this key; none while the device was refused each time it asked.
    pub token_used_by: Option<RequestId>,
    /// Digest of what it last said of itself.
    pub facts_digest: Digest,
    /// What of that the decision depends on.
    pub traits: Traits,
    /// What came of it.
    pub outcome: Outcome,
    /// Why.
    pub code: EnrollmentCode,
    /// The reason of a refusal for people; empty otherwise.
    pub message: Box<str>,
    /// Who manages it.
    pub authority: ManagedBy,
    /// SPIFFE ID of its certificate; none before trust is established, and once it is gone.
    pub spiffe_id: Option<Box<str>>,
    /// Whether trust is established in the key it last came with.
    pub key_trusted: bool,
    /// Its tags, sorted.
    pub tags: Vec<Box<str>>,
    /// Version of the tenant's settings that the outcome was decided by, as far as the events say.
    pub scope_version: u64,
    /// What it last told of troubles.
    pub troubles: Vec<Trouble>,
    /// When its offboarding order expires, if there is one.
    pub order_expire_time: Option<Timestamp>,
    /// The device it was merged into.
    pub merged_into: Option<DeviceId>,
    /// Whether it may come back although it is gone.
    pub reenrollment_allowed: bool,
}

/// What came of an enrollment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Permitted; trust is not established yet.
    Pending,
    /// Enrolled.
    Succeeded,
    /// Refused.
    Refused,
    /// An admin asked for its offboarding; it has not confirmed yet.
    Offboarding,
    /// It confirmed its offboarding.
    Offboarded,
    /// Deleted, or merged into another.
    Deleted,
}

impl Outcome {
    /// Whether a device with this outcome takes one of the tenant's seats.
    #[must_use]
    pub const fn takes_seat(self) -> bool {
        matches!(self, Self::Pending | Self::Succeeded | Self::Offboarding)
    }

    /// Whether it is decided anew when facts, tags or the scope change.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Succeeded | Self::Refused)
    }

    /// Whether the device is gone.
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Offboarded | Self::Deleted)
    }
}

impl Enrollment {
    /// The enrollment, if the device was onboarded.
    #[must_use]
    pub const fn onboarded(&self) -> Option<&Onboarded> {
        self.0.as_ref()
    }

    /// Whether the device takes one of the tenant's seats.
    #[must_use]
    pub fn takes_seat(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.outcome.takes_seat())
    }

    /// Whether the device has used this token up with this key.
    #[must_use]
    pub fn has_used(&self, token: TokenId, key_digest: &Digest) -> bool {
        let used = |known: &Onboarded| known.came_with(token, key_digest) && known.token_used_by.is_some();
        self.0.as_ref().is_some_and(used)
    }

    /// The enrollment once these events have happened.
    #[must_use]
    pub fn after(&self, events: &[Event]) -> Self {
        let mut after = self.clone();
        events.iter().for_each(|event| after.evolve(event));
        after
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        match (&mut self.0, event) {
            (known, Event::Onboarded { token, key_digest, facts, request }) => {
                *known = Some(Onboarded::coming_in(known.take(), *token, *key_digest, facts, *request));
            }
            (Some(known), event) => known.evolve(event),
            (None, _) => {}
        }
    }
}

impl Onboarded {
    /// Whether the device last came with this token and this key.
    #[must_use]
    pub fn came_with(&self, token: TokenId, key_digest: &Digest) -> bool {
        self.token == token && self.key_digest == *key_digest
    }

    /// A device that comes in, again if it is known: its tags, its trust and who manages it stay.
    fn coming_in(
        known: Option<Self>,
        token: TokenId,
        key_digest: Digest,
        facts: &DeviceFacts,
        request: RequestId,
    ) -> Self {
        let same = known.as_ref().filter(|known| known.came_with(token, &key_digest));
        let token_used_by = Some(same.and_then(|known| known.token_used_by).unwrap_or(request));
        let key_trusted = same.is_some_and(|known| known.key_trusted);
        let (authority, spiffe_id, tags, troubles) = known
            .map_or((ManagedBy::Nobody, None, Vec::new(), Vec::new()), |known| {
                (known.authority, known.spiffe_id, known.tags, known.troubles)
            });
        Self {
            token,
            key_digest,
            request,
            token_used_by,
            facts_digest: facts.digest(),
            traits: Traits::of(facts),
            outcome: Outcome::Pending,
            code: EnrollmentCode::Pending,
            message: Box::default(),
            authority,
            spiffe_id,
            key_trusted,
            tags,
            scope_version: 0,
            troubles,
            order_expire_time: None,
            merged_into: None,
            reenrollment_allowed: false,
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Onboarded { .. } => {}
            Event::FactsChanged { facts } => {
                self.facts_digest = facts.digest();
                self.traits = Traits::of(facts);
            }
            Event::Permitted { scope_version } => {
                self.stands(Outcome::Pending, EnrollmentCode::Pending, *scope_version);
            }
            Event::Succeeded { spiffe_id, managed_by, code, scope_version } => {
                self.stands(Outcome::Succeeded, *code, *scope_version);
                self.spiffe_id = Some(spiffe_id.clone());
                self.key_trusted = true;
                self.authority = *managed_by;
            }
            Event::Refused { code, message, scope_version, request } => {
                self.stands(Outcome::Refused, *code, *scope_version);
                self.message = message.clone();
                // Refused in the same breath in which it came in: the token was not used.
                if self.token_used_by == Some(*request) && !self.key_trusted {
                    self.token_used_by = None;
                }
            }
            Event::AuthorityChanged { from: _, to, code: _ } => self.authority = *to,
            Event::Tagged { added, removed } => {
                let kept = tags::missing(&self.tags, removed);
                self.tags = tags::sorted(kept.into_iter().chain(added.iter().cloned()));
            }
            Event::TroubleReported { troubles } => self.troubles.clone_from(troubles),
            Event::OffboardingRequested { expire_time } => {
                self.stands(Outcome::Offboarding, EnrollmentCode::Offboarding, self.scope_version);
                self.order_expire_time = Some(*expire_time);
            }
            Event::Offboarded(_) => self.goes(Outcome::Offboarded, EnrollmentCode::Offboarded),
            Event::Deleted => self.goes(Outcome::Deleted, EnrollmentCode::Deleted),
            Event::Merged { into } => {
                self.goes(Outcome::Deleted, EnrollmentCode::Merged);
                self.merged_into = Some(*into);
            }
            Event::ReenrollmentAllowed => self.reenrollment_allowed = true,
        }
    }

    fn stands(&mut self, outcome: Outcome, code: EnrollmentCode, scope_version: u64) {
        self.outcome = outcome;
        self.code = code;
        self.message = Box::default();
        self.scope_version = scope_version;
        self.order_expire_time = None;
    }

    fn goes(&mut self, outcome: Outcome, code: EnrollmentCode) {
        self.stands(outcome, code, self.scope_version);
        self.spiffe_id = None;
        self.key_trusted = false;
        self.reenrollment_allowed = false;
    }
}
