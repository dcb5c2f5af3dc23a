//! Which policy the device obeys, and what it says of it.

use std::sync::Arc;

use muster_envelope::Expected;
use muster_errors::ErrorCode;
use muster_types::{Digest, Timestamp};

use super::Core;
use super::clock::SKEW_MAX;
use super::message::{ApplyState, Corrections, Document, Outcome, Refusal, Status};
use super::wish::Wish;

impl Core {
    /// Takes in what a check-in brought for a device that may enforce.
    pub(super) fn offered(&mut self, now: Timestamp, policy: Option<Result<Document, Refusal>>) {
        match policy.map(|policy| policy.and_then(|policy| self.admit(now, policy))) {
            None => self.not_modified(now),
            Some(Ok(policy)) => {
                self.resume();
                self.received = Some(policy.etag);
                self.apply_state = ApplyState::Applying;
                self.last_good = Some(Arc::new(policy));
                self.apply = Wish::at(now);
            }
            Some(Err(refusal)) => self.refused(now, &refusal),
        }
    }

    /// Whether this device obeys a policy whose signature is good.
    fn admit(&self, now: Timestamp, policy: Document) -> Result<Document, Refusal> {
        let unknown = || Refusal {
            code: ErrorCode::PolicyWrongDevice,
            message: "this device is not onboarded".to_owned(),
            etag: Some(policy.etag),
        };
        policy.check(&self.expected(now).ok_or_else(unknown)?)?;
        Ok(policy)
    }

    /// What an envelope must fit to be obeyed; `None` when the device is not onboarded.
    pub(super) fn expected(&self, now: Timestamp) -> Option<Expected> {
        let enrolled = self.enrolled.as_ref()?;
        Some(Expected {
            tenant: enrolled.tenant,
            device: enrolled.device,
            last: self.last_good.as_ref().map(|good| (good.version, good.etag)),
            now: self.skew.service(now),
            skew: SKEW_MAX,
        })
    }

    pub(super) fn not_modified(&mut self, now: Timestamp) {
        if self.apply_state == ApplyState::Refused {
            // The server no longer wants what was refused: what is in force stands.
            self.received = self.last_good.as_ref().map(|policy| policy.etag);
            self.apply_state = self.state_in_force();
            self.tell_refusal(now, None);
        }
        if self.apply_state == ApplyState::Applied {
            // Somebody may have changed it since: what is in force is read back, and put back.
            self.apply.by(now);
        }
    }

    fn refused(&mut self, now: Timestamp, refusal: &Refusal) {
        self.received = refusal.etag.or(self.received);
        self.apply_state = ApplyState::Refused;
        self.last_error = Some(refusal.code);
        self.tell_refusal(now, Some(refusal.code));
    }

    pub(super) fn tell_refusal(&mut self, now: Timestamp, refused: Option<ErrorCode>) {
        self.status = Arc::new(Status { refused, ..Status::clone(&self.status) });
        self.report_if_news(now);
    }

    fn state_in_force(&self) -> ApplyState {
        match (&self.last_good, self.applied) {
            (None, _) => ApplyState::None,
            (Some(good), Some((etag, version, _))) if (good.etag, good.version) == (etag, version) => {
                ApplyState::Applied
            }
            (Some(_), _) => ApplyState::Failed,
        }
    }

    pub(super) fn policy_applied(&mut self, now: Timestamp, outcomes: Vec<Outcome>) {
        let Some(policy) = self.last_good.clone() else { return };
        let outcomes = self.count_corrections(policy.etag, outcomes);
        let failed = outcomes.iter().find(|outcome| outcome.failed());
        let in_force_since = match self.applied {
            Some((etag, version, since)) if (etag, version) == (policy.etag, policy.version) => since,
            _ => now,
        };
        if let Some(failed) = failed {
            self.last_error = failed.reason.or(Some(ErrorCode::ApplyFailed));
            let pause = self.apply.backoff.pause(&mut self.jitter, true);
            self.apply.at = Some(now.plus(pause));
            if self.applied.is_some_and(|(etag, version, _)| (etag, version) == (policy.etag, policy.version))
            {
                // It was in force once, and is not any more.
                self.applied = None;
            }
        } else {
            self.apply = Wish::default();
            self.applied = Some((policy.etag, policy.version, in_force_since));
        }
        // The last good policy may be applied again while a newer one stays refused.
        let refused = self.status.refused.filter(|_| self.apply_state == ApplyState::Refused);
        if refused.is_none() {
            self.apply_state = self.state_in_force();
        }
        self.status = Arc::new(Status {
            policy: Some((policy.etag, policy.version)),
            applied_at: Some(in_force_since),
            settings: outcomes,
            refused: refused.or(self.order_refused),
        });
        self.report_if_news(now);
    }

    /// What is put back of a policy that was in force before is a correction; what a new policy changes is none.
    fn count_corrections(&mut self, etag: Digest, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let begins = self.corrections.etag != Some(etag);
        if begins {
            let in_force = !outcomes.iter().any(Outcome::failed);
            self.corrections = Corrections { etag: in_force.then_some(etag), ..Corrections::default() };
        }
        let counts = &mut self.corrections.counts;
        let count = |outcome: Outcome| {
            if outcome.corrections > 0 && !begins {
                let count = counts.entry(outcome.id.clone()).or_default();
                *count = count.saturating_add(outcome.corrections);
            }
            let corrections = counts.get(&outcome.id).copied().unwrap_or_default();
            Outcome { corrections, ..outcome }
        };
        outcomes.into_iter().map(count).collect()
    }

    pub(super) fn report_if_news(&mut self, now: Timestamp) {
        let known = self.reported.as_ref().is_some_and(|reported| self.status.says_the_same(reported));
        if known {
            self.report = Wish::default();
        } else {
            self.report.by(now);
        }
    }

    /// Nothing of a policy is known any more, or in force.
    pub(super) fn forget_policy(&mut self) {
        self.last_good = None;
        self.reported = None;
        self.nothing_in_force();
    }

    /// Nothing is in force; what was the last good policy stays known, for its version must not be undercut.
    pub(super) fn nothing_in_force(&mut self) {
        self.applied = None;
        self.corrections = Corrections::default();
        self.received = None;
        self.apply = Wish::default();
        self.apply_state = ApplyState::None;
        self.status = Arc::new(Status { refused: self.order_refused, ..Status::default() });
    }
}
