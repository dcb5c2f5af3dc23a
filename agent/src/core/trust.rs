//! Coming in, and keeping the trust: onboarding, renewal over the present certificate, and what to do when it has ended.

use std::time::Duration;

use muster_errors::ErrorCode;
use muster_types::Timestamp;

use super::Core;
use super::backoff::Jitter;
use super::message::{Action, Enrolled, Standing, Work};
use super::wish::Wish;

/// A device that may not be enrolled asks again after this, and up to a quarter more, unless the server says when.
const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// And within these bounds, whatever the server says.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A device that may not be enrolled looks at itself this often.
const SURVEY_WHILE_REFUSED: Duration = Duration::from_secs(60);
/// Renewals are spread over this part of the certificate's life, around its half.
const RENEWAL_SPREAD_DIVISOR: u32 = 10;

/// What the device has to prove a registration with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Proof {
    /// Nothing, or nothing new.
    #[default]
    Settled,
    /// Something that was not shown yet.
    Untried,
}

impl Core {
    pub(super) fn come_in(&mut self, now: Timestamp, enrolled: Enrolled) {
        let same = self.enrolled.as_ref().is_none_or(|before| before.device == enrolled.device)
            && self.last_good.as_ref().is_none_or(|policy| policy.device == enrolled.device);
        if !same {
            // Another device now: what bound the old one, its versions above all, says nothing of this one.
            self.forget_policy();
        }
        self.check_in = Wish::at(enrolled.first_check_in_at.unwrap_or(now).max(now));
        self.watch = Wish::at(now);
        self.survey = Wish::default();
        self.enrolled = Some(enrolled);
        self.plan_renewal(now);
        if self.last_good.is_some() && matches!(self.standing, Standing::Enforcing | Standing::Quarantined) {
            self.apply.by(now);
        }
    }

    pub(super) fn onboarded(&mut self, now: Timestamp, enrolled: Enrolled) {
        // Who onboards is wanted: what an earlier life ended with is over.
        self.standing = Standing::Enforcing;
        self.onboard.at = None;
        self.proof = Proof::Settled;
        self.come_in(now, enrolled);
    }

    pub(super) fn enrollment_refused(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.last_error = Some(ErrorCode::EnrollmentRefused);
        let base = retry_after.unwrap_or(ASK_AGAIN).clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
        self.onboard = Wish::at(now.plus(base + self.jitter.within(base / 4)));
        self.survey = Wish::at(now.plus(SURVEY_WHILE_REFUSED));
    }

    /// The device that may not be enrolled looked at itself.
    pub(super) fn surveyed_while_refused(&mut self, now: Timestamp, news: bool) {
        self.survey = Wish::at(now.plus(SURVEY_WHILE_REFUSED));
        self.last_error = Some(ErrorCode::EnrollmentRefused);
        if news {
            self.onboard.by(now);
        }
    }

    pub(super) fn proof_appeared(&mut self, now: Timestamp) {
        self.proof = Proof::Untried;
        if self.enrolled.is_some() && self.next.is_none() {
            self.renew = Wish::at(now);
        }
    }

    pub(super) fn renewed(&mut self, now: Timestamp, expires_at: Timestamp) {
        self.renew = Wish::default();
        self.proof = Proof::Settled;
        self.next = Some(expires_at);
        self.activate = Wish::at(now);
    }

    pub(super) fn activated(&mut self, now: Timestamp, enrolled: Enrolled) {
        self.next = None;
        self.activate = Wish::default();
        let same = self.enrolled.as_ref().is_some_and(|before| before.device == enrolled.device);
        let (check_in, apply) = (self.check_in, self.apply);
        self.come_in(now, enrolled);
        if same {
            // Nothing is new but the certificate; the watch is opened anew, for the old one's ends with it.
            (self.check_in, self.apply) = (check_in, apply);
        }
        if self.proof == Proof::Untried {
            self.renew = Wish::at(now);
        }
    }

    pub(super) fn renewal_failed(&mut self, now: Timestamp, code: ErrorCode, slow: bool) {
        let proof = matches!(
            code,
            ErrorCode::ProofInvalid
                | ErrorCode::TenantMismatch
                | ErrorCode::AttestationFailed
                | ErrorCode::AttestationUnavailable
        );
        if proof && self.proof == Proof::Untried {
            // Not shown again before it is another one; the certificate is renewed without it in its time.
            self.proof = Proof::Settled;
            self.plan_renewal(now);
            return;
        }
        let pause = self.renew.backoff.pause(&mut self.jitter, slow);
        self.renew.at = Some(now.plus(pause));
    }

    pub(super) fn activation_failed(
        &mut self,
        now: Timestamp,
        code: ErrorCode,
        slow: bool,
        actions: &mut Vec<Action>,
    ) {
        let pause = self.activate.backoff.pause(&mut self.jitter, slow);
        if matches!(code, ErrorCode::CertificateRevoked | ErrorCode::DeviceDeleted) {
            self.next = None;
            self.activate = Wish::default();
            self.renew.at = Some(now.plus(pause));
            actions.push(Action::DropNext);
        } else {
            self.activate.at = Some(now.plus(pause));
        }
    }

    /// The service does not take the present certificate. Tells whether there is a new one to go on with: the answer to
    /// its activation may have been lost.
    pub(super) fn go_on_with_next(&mut self, now: Timestamp) -> bool {
        let usable = self.next_is_good(now);
        if usable {
            self.activate.by(now);
        }
        usable
    }

    /// The trust was ended by the service. One that was deleted may have been allowed to come back: onboarding says so.
    pub(super) fn revoked(&mut self, now: Timestamp, code: ErrorCode, actions: &mut Vec<Action>) {
        if !self.can_onboard {
            return self.stop(code, actions);
        }
        actions.push(Action::DropIdentity);
        self.onboard_again(now);
        // The first time at once; again only when there was time to look into it.
        if self.onboard.backoff.failures() > 0 {
            let pause = self.onboard.backoff.pause(&mut self.jitter, true);
            self.onboard.at = Some(now.plus(pause));
        } else {
            let _: Duration = self.onboard.backoff.pause(&mut self.jitter, true);
        }
    }

    pub(super) fn onboard_again(&mut self, now: Timestamp) {
        self.enrolled = None;
        self.next = None;
        for wish in [
            &mut self.check_in,
            &mut self.report,
            &mut self.facts,
            &mut self.watch,
            &mut self.survey,
            &mut self.renew,
            &mut self.activate,
        ] {
            *wish = Wish::default();
        }
        self.onboard.by(now);
        // What was reported was reported by who is no more.
        self.reported = None;
    }

    /// What to do about a certificate that is over.
    pub(super) fn look_at_expiry(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.is_expired(now) || self.work.is_some() {
            return;
        }
        if let Standing::Offboarding(offboarding) = &self.standing {
            if offboarding.outcome.is_some() {
                // It cannot be confirmed any more, and is done.
                self.retire(actions);
            }
            return;
        }
        if self.next_is_good(now) {
            // Its activation is tried at a pace of its own.
            return;
        }
        if self.can_onboard {
            self.onboard_again(now);
        } else {
            self.stop(ErrorCode::CertificateInvalid, actions);
        }
    }

    /// Whether nothing but the new certificate is good any more.
    pub(super) fn only_next_is_good(&self, now: Timestamp) -> bool {
        self.next.is_some() && self.is_expired(now)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        let expires_at = self.enrolled.as_ref().map(|enrolled| enrolled.certificate_expires_at);
        expires_at.is_some_and(|at| self.is_surely_past(now, at))
    }

    fn next_is_good(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|expires_at| !self.is_surely_past(now, expires_at))
    }

    /// The certificate is renewed at half its life, by the service's time.
    pub(super) fn plan_renewal(&mut self, now: Timestamp) {
        if let Some(enrolled) = &self.enrolled {
            let at = renewal(enrolled, &mut self.jitter);
            self.renew = Wish::at(self.skew.device(at).max(now));
        }
    }

    /// When the certificate is renewed.
    #[must_use]
    pub fn renews_at(&self) -> Option<Timestamp> {
        self.renew.at.or(self.activate.at).filter(|_| self.enrolled.is_some())
    }

    pub(super) fn begin_renewal(&mut self) -> (Work, Action) {
        (Work::Renew, Action::Renew { with_proof: self.proof == Proof::Untried })
    }
}

/// Half of a certificate's life, a twentieth more or less.
fn renewal(enrolled: &Enrolled, jitter: &mut Jitter) -> Timestamp {
    let life = enrolled.certificate_expires_at.since(enrolled.certificate_begins_at);
    let spread = life / RENEWAL_SPREAD_DIVISOR;
    enrolled.certificate_begins_at.plus((life / 2).saturating_sub(spread / 2) + jitter.within(spread))
}
