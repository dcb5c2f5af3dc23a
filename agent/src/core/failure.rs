//! What to do when work fails.

use muster_errors::ErrorCode;
use muster_types::Timestamp;

use super::Core;
use super::backoff::{Class, class};
use super::message::{Action, Work};
use super::wish::Hint;

/// So often in a row must the server not know the device before it onboards again: a service that has just come up may
/// not have read of it yet.
pub(super) const RE_ENROL_AFTER: u32 = 4;

impl Core {
    pub(super) fn failed(&mut self, now: Timestamp, work: Work, code: ErrorCode, actions: &mut Vec<Action>) {
        self.last_error = Some(code);
        if work == Work::Confirm {
            return self.confirm_failed(now, code, actions);
        }
        let class = class(work, code);
        if class == Class::Stop {
            return self.stop(code, actions);
        }
        if work == Work::Activate {
            return self.activation_failed(now, code, class != Class::Retry, actions);
        }
        let not_taken = class == Class::Revoked || code == ErrorCode::CertificateInvalid;
        let next_may_be = not_taken && self.go_on_with_next(now);
        if class == Class::Revoked && !next_may_be {
            return self.revoked(now, code, actions);
        }
        if work == Work::Renew {
            self.renewal_failed(now, code, class == Class::Slow);
        } else {
            self.try_again(now, work, class);
        }
    }

    pub(super) fn try_again(&mut self, now: Timestamp, work: Work, class: Class) {
        let (wish, jitter) = match work {
            Work::Onboard => (&mut self.onboard, &mut self.jitter),
            Work::CheckIn => (&mut self.check_in, &mut self.jitter),
            Work::Apply => (&mut self.apply, &mut self.jitter),
            Work::Report => (&mut self.report, &mut self.jitter),
            Work::ReportFacts => (&mut self.facts, &mut self.jitter),
            Work::Survey => (&mut self.survey, &mut self.jitter),
            Work::TakeBack => (&mut self.take_back, &mut self.jitter),
            Work::Renew => (&mut self.renew, &mut self.jitter),
            Work::Activate => (&mut self.activate, &mut self.jitter),
            Work::Confirm => (&mut self.confirm, &mut self.jitter),
        };
        let gone = class == Class::ReEnrol && wish.backoff.failures() + 1 >= RE_ENROL_AFTER;
        // Until it is sure that the device must onboard again, or cannot, the server may still come to know it.
        let slow = class == Class::Slow || gone;
        let retry_at = now.plus(wish.backoff.pause(jitter, slow));
        wish.at = Some(retry_at);
        if work == Work::CheckIn
            && let Some(hint) = self.hint_in_flight.take()
            && self.hint.is_none()
        {
            self.hint = Some(Hint { at: retry_at, ..hint });
        }
        if work == Work::Survey {
            // A survey that fails does not hold up the check-in.
            self.surveyed = true;
        }
        if gone && self.can_onboard && self.next.is_none() {
            self.onboard_again(now);
        }
    }

    pub(super) fn stop(&mut self, code: ErrorCode, actions: &mut Vec<Action>) {
        self.stopped = true;
        self.last_error = Some(code);
        actions.push(Action::Stop(code));
    }
}
