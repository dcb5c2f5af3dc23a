//! The agent's rules: a state machine without I/O, clock or randomness. Time comes with each input, chance from a seed.
//!
//! At most one piece of work is under way. Everything else is a wish with a moment from which on it is due, so that a
//! failing report never holds up a check-in, and a hint that comes while a policy is applied is still there afterwards.

pub mod backoff;
pub mod message;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use muster_errors::ErrorCode;
use muster_types::{Digest, Timestamp, setting};

use self::backoff::{Backoff, Class, Jitter, class};
use self::message::{
    Action, ApplyState, CheckIn, Document, Enrolled, Input, Outcome, Refusal, Reply, SettingState, Status,
    Work,
};

/// So often in a row must the server not know the device before it onboards again: a service that has just come up may
/// not have read of it yet.
const RE_ENROL_AFTER: u32 = 4;
/// A watch that ended in peace is opened again within this time.
const WATCH_REOPEN: Duration = Duration::from_secs(1);
/// A check-in is never longer away than this, whatever the server says.
const CHECK_IN_INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A check-in that nobody asked for is never nearer than this.
const CHECK_IN_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// What the agent remembers from its last run.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Who it is.
    pub enrolled: Option<Enrolled>,
    /// The last good policy.
    pub last_good: Option<Document>,
    /// Etag and version in force, and since when.
    pub applied: Option<(Digest, u64, Timestamp)>,
}

/// A wish and when it is due; `None` when there is no such wish.
#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    at: Option<Timestamp>,
    backoff: Backoff,
}

impl Wish {
    fn by(&mut self, moment: Timestamp) {
        self.at = Some(self.at.map_or(moment, |at| at.min(moment)));
    }

    fn due(&self, now: Timestamp) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

#[derive(Debug, Clone)]
struct Hint {
    etag: Option<Digest>,
    at: Timestamp,
    traceparent: String,
}

/// The state machine. [`Core::handle`] is its only door.
#[derive(Debug)]
pub struct Core {
    can_onboard: bool,
    enrolled: Option<Enrolled>,
    last_good: Option<Arc<Document>>,
    applied: Option<(Digest, u64, Timestamp)>,
    received: Option<Digest>,
    apply_state: ApplyState,
    status: Arc<Status>,
    reporting: Option<Arc<Status>>,
    reported: Option<Arc<Status>>,
    hint: Option<Hint>,
    hint_in_flight: Option<Hint>,
    traceparent: String,
    sequence: u64,
    work: Option<Work>,
    onboard: Wish,
    check_in: Wish,
    apply: Wish,
    report: Wish,
    facts: Wish,
    watch: Wish,
    jitter: Jitter,
    last_error: Option<ErrorCode>,
    stopped: bool,
}

impl Core {
    /// Begins with what is remembered. `can_onboard` says whether there is a token to onboard with; `seed` spreads the
    /// fleet. Nothing happens before the first [`Input::Tick`].
    #[must_use]
    pub fn new(memory: Memory, can_onboard: bool, seed: u64, now: Timestamp) -> Self {
        let Memory { enrolled, last_good, applied } = memory;
        let last_good = last_good.map(Arc::new);
        let mut core = Self {
            can_onboard,
            enrolled: None,
            received: last_good.as_ref().map(|policy| policy.etag),
            apply_state: if last_good.is_some() { ApplyState::Applying } else { ApplyState::None },
            last_good,
            applied,
            status: Arc::default(),
            reporting: None,
            reported: None,
            hint: None,
            hint_in_flight: None,
            traceparent: String::new(),
            sequence: 0,
            work: None,
            onboard: Wish::default(),
            check_in: Wish::default(),
            apply: Wish::default(),
            report: Wish::default(),
            facts: Wish::default(),
            watch: Wish::default(),
            jitter: Jitter::new(seed),
            last_error: None,
            stopped: false,
        };
        match enrolled {
            Some(enrolled) => core.come_in(now, Enrolled { first_check_in_at: None, ..enrolled }),
            None => core.onboard.by(now),
        }
        core
    }

    /// Who the device is, once onboarded.
    #[must_use]
    pub const fn enrolled(&self) -> Option<&Enrolled> {
        self.enrolled.as_ref()
    }

    /// Etag and version in force, and since when.
    #[must_use]
    pub const fn applied(&self) -> Option<(Digest, u64, Timestamp)> {
        self.applied
    }

    /// Where the device stands with the policy last received.
    #[must_use]
    pub const fn apply_state(&self) -> ApplyState {
        self.apply_state
    }

    /// What is under way.
    #[must_use]
    pub const fn work(&self) -> Option<Work> {
        self.work
    }

    /// What went wrong last; `None` once it went well again.
    #[must_use]
    pub const fn last_error(&self) -> Option<ErrorCode> {
        self.last_error
    }

    /// Takes in what happened and says what to do. An answer to work that is not under way is passed over.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.stopped {
            return actions;
        }
        match input {
            Input::Tick => {}
            Input::Hint { etag, spread, traceparent } => self.hinted(now, etag, spread, traceparent),
            Input::WatchOpened => self.watch_opened(now),
            Input::WatchClosed(error) => self.watch_closed(now, error),
            Input::Onboarded(enrolled) => {
                if self.done(Work::Onboard) {
                    self.onboard = Wish::default();
                    self.come_in(now, enrolled);
                }
            }
            Input::CheckedIn(reply) => {
                if self.done(Work::CheckIn) {
                    self.checked_in(now, reply);
                }
            }
            Input::Applied(outcomes) => {
                if self.done(Work::Apply) {
                    self.policy_applied(now, outcomes);
                }
            }
            Input::Reported => {
                if self.done(Work::Report) {
                    self.report = Wish::default();
                    self.reported = self.reporting.take();
                    self.report_if_news(now);
                }
            }
            Input::FactsReported => {
                if self.done(Work::ReportFacts) {
                    self.facts = Wish::default();
                }
            }
            Input::Failed(code) => {
                if let Some(work) = self.work.take() {
                    self.failed(now, work, code, &mut actions);
                }
            }
        }
        self.go_on(now, &mut actions);
        actions
    }

    fn done(&mut self, work: Work) -> bool {
        if self.work != Some(work) {
            return false;
        }
        self.work = None;
        self.last_error = None;
        true
    }

    fn come_in(&mut self, now: Timestamp, enrolled: Enrolled) {
        let same = self.enrolled.as_ref().is_none_or(|before| before.device == enrolled.device)
            && self.last_good.as_ref().is_none_or(|policy| policy.device == enrolled.device);
        if !same {
            // Another device now: what bound the old one, its versions above all, says nothing of this one.
            self.last_good = None;
            self.applied = None;
            self.received = None;
            self.reported = None;
            self.apply_state = ApplyState::None;
            self.status = Arc::default();
        }
        self.check_in =
            Wish { at: Some(enrolled.first_check_in_at.unwrap_or(now).max(now)), ..Wish::default() };
        self.watch = Wish { at: Some(now), ..Wish::default() };
        self.enrolled = Some(enrolled);
        if self.last_good.is_some() {
            self.apply.by(now);
        }
    }

    fn hinted(&mut self, now: Timestamp, etag: Option<Digest>, spread: Duration, traceparent: String) {
        let at = now.plus(self.jitter.within(spread));
        let at = self.hint.as_ref().map_or(at, |earlier| earlier.at.min(at));
        self.hint = Some(Hint { etag, at, traceparent });
        if self.work != Some(Work::CheckIn) {
            self.drop_hint_if_satisfied();
        }
    }

    /// A hint at what the device was already given asks for nothing, unless that was refused.
    fn drop_hint_if_satisfied(&mut self) {
        let etag = self.hint.as_ref().and_then(|hint| hint.etag);
        if etag.is_some() && etag == self.received && self.apply_state != ApplyState::Refused {
            self.hint = None;
        }
    }

    fn watch_opened(&mut self, now: Timestamp) {
        self.watch = Wish::default();
        if self.check_in.backoff.failures() > 0 {
            self.check_in.by(now);
        }
    }

    fn watch_closed(&mut self, now: Timestamp, error: Option<ErrorCode>) {
        let pause = match error {
            None => {
                self.watch.backoff.reset();
                self.jitter.within(WATCH_REOPEN)
            }
            Some(code) => {
                let slow = class(Work::CheckIn, code) != Class::Retry;
                self.watch.backoff.pause(&mut self.jitter, slow)
            }
        };
        self.watch.at = Some(now.plus(pause));
    }

    fn checked_in(&mut self, now: Timestamp, reply: Reply) {
        let Reply { policy, next_check_in, wants_facts, wants_report, facts_changed } = reply;
        let next = next_check_in.clamp(CHECK_IN_INTERVAL_MIN, CHECK_IN_INTERVAL_MAX);
        self.check_in = Wish { at: Some(now.plus(next)), ..Wish::default() };
        if let Some(hint) = self.hint_in_flight.take() {
            self.traceparent = hint.traceparent;
        }
        match policy.map(|policy| policy.and_then(|policy| self.admit(now, policy))) {
            None => self.not_modified(now),
            Some(Ok(policy)) => {
                self.received = Some(policy.etag);
                self.apply_state = ApplyState::Applying;
                self.last_good = Some(Arc::new(policy));
                self.apply = Wish { at: Some(now), ..Wish::default() };
            }
            Some(Err(refusal)) => self.refused(now, &refusal),
        }
        self.drop_hint_if_satisfied();
        if wants_facts || facts_changed {
            self.facts.by(now);
        }
        if wants_report && (self.last_good.is_some() || self.status.refused.is_some()) {
            self.reported = None;
            if self.apply.at.is_none() {
                self.report.by(now);
            }
        }
    }

    /// Whether this device obeys a policy whose signature is good.
    fn admit(&self, now: Timestamp, policy: Document) -> Result<Document, Refusal> {
        let refuse = |code, message: String| Err(Refusal { code, message, etag: Some(policy.etag) });
        let Some(enrolled) = &self.enrolled else {
            return refuse(ErrorCode::PolicyWrongDevice, "this device is not onboarded".to_owned());
        };
        if (policy.tenant, policy.device) != (enrolled.tenant, enrolled.device) {
            let message = format!("it names device {}, and this is {}", policy.device, enrolled.device);
            return refuse(ErrorCode::PolicyWrongDevice, message);
        }
        if policy.expires_at <= now {
            return refuse(ErrorCode::PolicyExpired, format!("it expired at {}", policy.expires_at));
        }
        if let Some(good) = &self.last_good
            && (policy.version < good.version || (policy.version == good.version && policy.etag != good.etag))
        {
            let message =
                format!("its version is {}, and version {} came before", policy.version, good.version);
            return refuse(ErrorCode::PolicyRolledBack, message);
        }
        if setting::etag(policy.settings.iter().map(|(id, value)| (id, value))) != policy.etag {
            let message = "its etag does not belong to its settings".to_owned();
            return refuse(ErrorCode::PolicyMalformed, message);
        }
        Ok(policy)
    }

    fn not_modified(&mut self, now: Timestamp) {
        if self.apply_state == ApplyState::Refused {
            // The server no longer wants what was refused: what is in force stands.
            self.received = self.last_good.as_ref().map(|policy| policy.etag);
            self.apply_state = self.state_in_force();
            self.status = Arc::new(Status { refused: None, ..Status::clone(&self.status) });
            self.report_if_news(now);
        }
    }

    fn refused(&mut self, now: Timestamp, refusal: &Refusal) {
        self.received = refusal.etag.or(self.received);
        self.apply_state = ApplyState::Refused;
        self.last_error = Some(refusal.code);
        self.status = Arc::new(Status { refused: Some(refusal.code), ..Status::clone(&self.status) });
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

    fn policy_applied(&mut self, now: Timestamp, outcomes: Vec<Outcome>) {
        let Some(policy) = self.last_good.clone() else { return };
        let failed = outcomes.iter().find(|outcome| outcome.state == SettingState::Error);
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
            refused,
        });
        self.report_if_news(now);
    }

    fn report_if_news(&mut self, now: Timestamp) {
        let known = self.reported.as_ref().is_some_and(|reported| self.status.says_the_same(reported));
        if known {
            self.report = Wish::default();
        } else {
            self.report.by(now);
        }
    }

    fn failed(&mut self, now: Timestamp, work: Work, code: ErrorCode, actions: &mut Vec<Action>) {
        self.last_error = Some(code);
        let class = class(work, code);
        if class == Class::Stop {
            return self.stop(code, actions);
        }
        let (wish, jitter) = match work {
            Work::Onboard => (&mut self.onboard, &mut self.jitter),
            Work::CheckIn => (&mut self.check_in, &mut self.jitter),
            Work::Apply => (&mut self.apply, &mut self.jitter),
            Work::Report => (&mut self.report, &mut self.jitter),
            Work::ReportFacts => (&mut self.facts, &mut self.jitter),
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
        if gone && self.can_onboard {
            self.onboard_again(now);
        }
    }

    fn onboard_again(&mut self, now: Timestamp) {
        self.enrolled = None;
        for wish in [&mut self.check_in, &mut self.report, &mut self.facts, &mut self.watch] {
            *wish = Wish::default();
        }
        self.onboard.by(now);
        // What was reported was reported by who is no more.
        self.reported = None;
    }

    fn stop(&mut self, code: ErrorCode, actions: &mut Vec<Action>) {
        self.stopped = true;
        self.last_error = Some(code);
        actions.push(Action::Stop(code));
    }

    fn go_on(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.stopped {
            return;
        }
        if self.work.is_none() && self.enrolled.as_ref().is_some_and(|e| e.certificate_expires_at <= now) {
            if !self.can_onboard {
                return self.stop(ErrorCode::CertificateInvalid, actions);
            }
            self.onboard_again(now);
        }
        if self.enrolled.is_some() && self.watch.due(now) {
            self.watch.at = None;
            actions.push(Action::OpenWatch { applied: self.applied.map(|(etag, ..)| etag) });
        }
        if self.work.is_none()
            && let Some((work, action)) = self.next_work(now)
        {
            self.work = Some(work);
            actions.push(action);
        }
        self.wake_up(now, actions);
    }

    fn next_work(&mut self, now: Timestamp) -> Option<(Work, Action)> {
        if self.enrolled.is_none() {
            return self.onboard.due(now).then_some((Work::Onboard, Action::Onboard));
        }
        if self.apply.due(now)
            && let Some(policy) = self.last_good.clone()
        {
            return Some((Work::Apply, Action::Apply { policy, traceparent: self.traceparent.clone() }));
        }
        if self.report.due(now) {
            let status = Arc::clone(&self.status);
            self.reporting = Some(Arc::clone(&status));
            return Some((Work::Report, Action::Report { status, traceparent: self.traceparent.clone() }));
        }
        if self.check_in.due(now) || self.hint.as_ref().is_some_and(|hint| hint.at <= now) {
            return Some((Work::CheckIn, Action::CheckIn(self.begin_check_in())));
        }
        self.facts.due(now).then_some((Work::ReportFacts, Action::ReportFacts))
    }

    fn begin_check_in(&mut self) -> CheckIn {
        self.sequence += 1;
        self.hint_in_flight = self.hint.take();
        CheckIn {
            sequence: self.sequence,
            applied: self.applied.map(|(etag, version, _)| (etag, version)),
            received: self.received,
            apply_state: self.apply_state,
            traceparent: self
                .hint_in_flight
                .as_ref()
                .map_or_else(String::new, |hint| hint.traceparent.clone()),
        }
    }

    fn wake_up(&self, now: Timestamp, actions: &mut Vec<Action>) {
        let wishes = if self.enrolled.is_some() {
            [self.check_in.at, self.apply.at, self.report.at, self.facts.at, self.watch.at]
        } else {
            [self.onboard.at, None, None, None, None]
        };
        let hint = self.hint.as_ref().map(|hint| hint.at).filter(|_| self.enrolled.is_some());
        // What is already due waits for the work under way, and needs no waking.
        let earliest = wishes.into_iter().chain([hint]).flatten().filter(|at| *at > now).min();
        actions.extend(earliest.map(Action::WakeAt));
    }
}
