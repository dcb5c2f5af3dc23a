//! Who manages the device: standing down, coming back, quarantine, and leaving.

use std::time::Duration;

use muster_errors::ErrorCode;
use muster_types::Timestamp;

use super::Core;
use super::message::{
    Action, Authority, Directive, ManagedBy, Offboarding, Order, Refusal, Standing, TakenBack,
};
use super::wish::Wish;

/// A quarantined device checks in no more often than this unless it is hinted.
pub(super) const QUARANTINE_CHECK_IN_MIN: Duration = Duration::from_secs(60 * 60);
/// So often it is tried to take everything back before an offboarding is confirmed with what failed.
pub(super) const TAKE_BACK_TRIES_MAX: u32 = 3;
/// Codes by which nobody manages a device and which need no standing down: it is on its way in, or directives say more.
const PASSING_CODES: [&str; 5] = ["", "PENDING", "ENROLLED", "OFFBOARDING", "QUARANTINED"];
/// Stands for an offboarding whose order the service does not know any more.
const OFFBOARDING: &str = "OFFBOARDING";

impl Core {
    /// Obeys a directive. Tells whether a policy that came with it may be looked at.
    pub(super) fn directed(&mut self, now: Timestamp, directive: Directive) -> bool {
        if !matches!(directive, Directive::Decommission(_)) && self.order_refused.take().is_some() {
            let refused = self.status.refused.filter(|code| *code != ErrorCode::OrderRefused);
            self.tell_refusal(now, refused);
        }
        match directive {
            Directive::None => {
                if self.standing == Standing::Quarantined {
                    self.standing = Standing::Enforcing;
                }
                true
            }
            Directive::StandDown { code } => {
                self.stand_down(now, code);
                false
            }
            Directive::Quarantine => {
                if self.standing == Standing::Enforcing {
                    self.standing = Standing::Quarantined;
                }
                if let Some(at) = &mut self.check_in.at {
                    *at = (*at).max(now.plus(QUARANTINE_CHECK_IN_MIN));
                }
                false
            }
            Directive::Decommission(order) => {
                match order.and_then(|order| self.obey(now, order)) {
                    Ok(order) => self.leave(now, order),
                    Err(refusal) => self.refuse_order(now, &refusal),
                }
                false
            }
        }
    }

    /// Does what the answer to reported facts says of who manages the device.
    pub(super) fn told_authority(&mut self, now: Timestamp, authority: Authority) {
        let Authority { managed_by, code } = authority;
        match managed_by {
            ManagedBy::Mdm | ManagedBy::ConfigMgr => self.stand_down(now, code),
            ManagedBy::Nobody if PASSING_CODES.contains(&code.as_str()) => {}
            ManagedBy::Nobody => self.stand_down(now, code),
            ManagedBy::Muster if matches!(self.standing, Standing::StoodDown { .. }) => self.check_in.by(now),
            ManagedBy::Muster => {}
        }
    }

    pub(super) fn stand_down(&mut self, now: Timestamp, code: String) {
        match &mut self.standing {
            Standing::StoodDown { code: before } => *before = code,
            Standing::Enforcing | Standing::Quarantined => {
                self.standing = Standing::StoodDown { code };
                self.apply = Wish::default();
                self.take_back = Wish::at(now);
            }
            Standing::Offboarding(_) => {}
        }
    }

    /// A policy came: the device may enforce again.
    pub(super) fn resume(&mut self) {
        self.standing = Standing::Enforcing;
        self.take_back = Wish::default();
    }

    fn obey(&self, now: Timestamp, order: Order) -> Result<Order, Refusal> {
        let refuse = |message: &str| Refusal::new(ErrorCode::OrderRefused, message);
        let expected = self.expected(now).ok_or_else(|| refuse("this device is not onboarded"))?;
        order.check(&expected)?;
        Ok(order)
    }

    fn refuse_order(&mut self, now: Timestamp, refusal: &Refusal) {
        self.last_error = Some(refusal.code);
        self.order_refused = Some(refusal.code);
        self.tell_refusal(now, self.status.refused.or(Some(refusal.code)));
    }

    fn leave(&mut self, now: Timestamp, order: Order) {
        let Order { kept, digest, .. } = order;
        // What was taken back when the device stood down is not brought back to be kept.
        let in_force = self.applied.is_some() || !matches!(self.standing, Standing::StoodDown { .. });
        let kept = if in_force { kept } else { Vec::new() };
        self.standing = Standing::Offboarding(Offboarding { order: digest, kept, outcome: None });
        self.apply = Wish::default();
        self.take_back = Wish::at(now);
    }

    /// Whether and what is to be taken back.
    pub(super) fn begin_take_back(&self) -> Action {
        let kept = match &self.standing {
            Standing::Offboarding(Offboarding { kept, .. }) => kept.clone(),
            Standing::Enforcing | Standing::StoodDown { .. } | Standing::Quarantined => Vec::new(),
        };
        Action::TakeBack { policy: self.last_good.clone(), kept }
    }

    pub(super) fn taken_back(&mut self, now: Timestamp, taken_back: TakenBack) {
        let failed = !taken_back.failed.is_empty();
        if failed {
            self.last_error = Some(ErrorCode::ApplyFailed);
        }
        let last_try = self.take_back.backoff.failures() + 1 >= TAKE_BACK_TRIES_MAX;
        self.nothing_in_force();
        let leaves = self.leaves();
        if failed && !(leaves && last_try) {
            let pause = self.take_back.backoff.pause(&mut self.jitter, true);
            self.take_back.at = Some(now.plus(pause));
        } else {
            self.take_back = Wish::default();
            if let Standing::Offboarding(offboarding) = &mut self.standing {
                offboarding.outcome = Some(taken_back);
                self.confirm = Wish::at(now);
            }
        }
        if !leaves {
            self.report_if_news(now);
        }
    }

    pub(super) fn begin_confirm(&self) -> Option<Action> {
        let Standing::Offboarding(offboarding) = &self.standing else { return None };
        offboarding.outcome.is_some().then(|| Action::Confirm(offboarding.clone()))
    }

    /// The device has left: nothing is left to do.
    pub(super) fn retire(&mut self, actions: &mut Vec<Action>) {
        self.stopped = true;
        self.last_error = None;
        actions.push(Action::Retire);
    }

    /// What a failed confirmation means. A service that does not let the device in any more has taken the first one,
    /// whose answer was lost.
    pub(super) fn confirm_failed(&mut self, now: Timestamp, code: ErrorCode, actions: &mut Vec<Action>) {
        let shut_out = [
            ErrorCode::CertificateRevoked,
            ErrorCode::CertificateInvalid,
            ErrorCode::DeviceUnknown,
            ErrorCode::DeviceDeleted,
        ];
        if shut_out.contains(&code) {
            self.retire(actions);
        } else if code == ErrorCode::OrderRefused {
            // Another order, or none, stands by now: the next check-in says which.
            self.standing = Standing::StoodDown { code: OFFBOARDING.to_owned() };
            self.confirm = Wish::default();
            self.check_in.by(now);
        } else {
            let pause = self.confirm.backoff.pause(&mut self.jitter, false);
            self.confirm.at = Some(now.plus(pause));
        }
    }
}
