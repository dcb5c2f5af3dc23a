//! The agent's rules: a state machine without I/O, clock or randomness. Time comes with each input, chance from a seed.
//!
//! At most one piece of work is under way. Everything else is a wish with a moment from which on it is due, so that a
//! failing report never holds up a check-in, and a hint that comes while a policy is applied is still there afterwards.

mod authority;
pub mod backoff;
mod clock;
mod failure;
pub mod message;
mod policy;
mod schedule;
mod trust;
mod watch;
mod wish;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use muster_errors::ErrorCode;
use muster_types::{Digest, Timestamp};

pub use self::clock::{SKEW_MAX, Skew};

use self::backoff::Jitter;
use self::message::{
    Action, ApplyState, Corrections, Document, Enrolled, Input, Offboarding, Reply, Standing, Status, Work,
};
use self::trust::Proof;
use self::wish::{Hint, Wish};

/// A check-in is never longer away than this, whatever the server says.
const CHECK_IN_INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A check-in that nobody asked for is never nearer than this.
const CHECK_IN_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The machine is surveyed this often, and before each check-in: another authority that comes or goes is told at once.
const SURVEY_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// What the agent remembers from its last run.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Who it is.
    pub enrolled: Option<Enrolled>,
    /// When the new certificate ends that is kept beside the present one, if there is one.
    pub next: Option<Timestamp>,
    /// Where it stands with its management.
    pub standing: Standing,
    /// The last good policy.
    pub last_good: Option<Document>,
    /// Etag and version in force, and since when.
    pub applied: Option<(Digest, u64, Timestamp)>,
    /// How far the device's clock is from the service's, as far as is known.
    pub skew: Skew,
    /// How often settings were put back.
    pub corrections: Corrections,
}

/// The state machine. [`Core::handle`] is its only door.
#[derive(Debug)]
pub struct Core {
    can_onboard: bool,
    enrolled: Option<Enrolled>,
    next: Option<Timestamp>,
    proof: Proof,
    standing: Standing,
    last_good: Option<Arc<Document>>,
    applied: Option<(Digest, u64, Timestamp)>,
    corrections: Corrections,
    received: Option<Digest>,
    apply_state: ApplyState,
    order_refused: Option<ErrorCode>,
    status: Arc<Status>,
    reporting: Option<Arc<Status>>,
    reported: Option<Arc<Status>>,
    hint: Option<Hint>,
    hint_in_flight: Option<Hint>,
    traceparent: String,
    sequence: u64,
    /// Whether the machine was surveyed for the check-in that is due. A survey of before, however fresh, is not for it.
    surveyed: bool,
    /// Whether the survey under way is for a check-in.
    surveys_for_check_in: bool,
    work: Option<Work>,
    onboard: Wish,
    check_in: Wish,
    apply: Wish,
    report: Wish,
    facts: Wish,
    survey: Wish,
    watch: Wish,
    renew: Wish,
    activate: Wish,
    take_back: Wish,
    confirm: Wish,
    jitter: Jitter,
    /// The last moment that was given; the clock may be set back after it.
    seen: Timestamp,
    skew: Skew,
    last_error: Option<ErrorCode>,
    stopped: bool,
}

impl Core {
    /// Begins with what is remembered. `can_onboard` says whether there is a token to onboard with; `seed` spreads the
    /// fleet. Nothing happens before the first [`Input::Tick`].
    #[must_use]
    pub fn new(memory: Memory, can_onboard: bool, seed: u64, now: Timestamp) -> Self {
        let Memory { enrolled, next, standing, last_good, applied, skew, corrections } = memory;
        let last_good = last_good.map(Arc::new);
        let enforces = last_good.is_some() && matches!(standing, Standing::Enforcing | Standing::Quarantined);
        let mut core = Self {
            can_onboard,
            enrolled: None,
            next,
            proof: Proof::default(),
            standing,
            received: last_good.as_ref().filter(|_| enforces).map(|policy| policy.etag),
            apply_state: if enforces { ApplyState::Applying } else { ApplyState::None },
            last_good,
            applied,
            corrections,
            order_refused: None,
            status: Arc::default(),
            reporting: None,
            reported: None,
            hint: None,
            hint_in_flight: None,
            traceparent: String::new(),
            sequence: 0,
            surveyed: false,
            surveys_for_check_in: false,
            work: None,
            onboard: Wish::default(),
            check_in: Wish::default(),
            apply: Wish::default(),
            report: Wish::default(),
            facts: Wish::default(),
            survey: Wish::default(),
            watch: Wish::default(),
            renew: Wish::default(),
            activate: Wish::default(),
            take_back: Wish::default(),
            confirm: Wish::default(),
            jitter: Jitter::new(seed),
            seen: now,
            skew,
            last_error: None,
            stopped: false,
        };
        match enrolled {
            Some(enrolled) => core.take_up(now, &enrolled),
            None => core.onboard.by(now),
        }
        core
    }

    /// Goes on where the last run ended.
    fn take_up(&mut self, now: Timestamp, enrolled: &Enrolled) {
        self.come_in(now, Enrolled { first_check_in_at: None, ..enrolled.clone() });
        if self.next.is_some() {
            self.renew = Wish::default();
            self.activate = Wish::at(now);
        }
        match &self.standing {
            Standing::Enforcing | Standing::Quarantined => {}
            // Whether all was taken back is not known: once more does no harm.
            Standing::StoodDown { .. } => self.take_back = Wish::at(now),
            Standing::Offboarding(Offboarding { outcome: None, .. }) => self.take_back = Wish::at(now),
            Standing::Offboarding(Offboarding { outcome: Some(_), .. }) => self.confirm = Wish::at(now),
        }
    }

    /// Who the device is, once onboarded.
    #[must_use]
    pub const fn enrolled(&self) -> Option<&Enrolled> {
        self.enrolled.as_ref()
    }

    /// Where the device stands with its management.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Etag and version in force, and since when.
    #[must_use]
    pub const fn applied(&self) -> Option<(Digest, u64, Timestamp)> {
        self.applied
    }

    /// How often settings were put back.
    #[must_use]
    pub const fn corrections(&self) -> &Corrections {
        &self.corrections
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
        self.look_at_clock(now);
        self.take_in(now, input, &mut actions);
        self.go_on(now, &mut actions);
        actions
    }

    fn take_in(&mut self, now: Timestamp, input: Input, actions: &mut Vec<Action>) {
        if let Some(work) = work_of(&input) {
            if self.work != Some(work) {
                return;
            }
            self.work = None;
            if work != Work::Survey {
                self.last_error = None;
            }
        }
        match input {
            Input::Tick => {}
            Input::Hint { etag, spread, traceparent } => self.hinted(now, etag, spread, traceparent),
            Input::WatchOpened => self.watch_opened(now),
            Input::WatchClosed(how) => self.watch_closed(now, how),
            Input::ProofAppeared => self.proof_appeared(now),
            Input::Failed(code) => {
                if let Some(work) = self.work.take() {
                    self.failed(now, work, code, actions);
                }
            }
            Input::Onboarded(enrolled) => self.onboarded(now, enrolled),
            Input::EnrollmentRefused { retry_after } => self.enrollment_refused(now, retry_after),
            Input::CheckedIn(reply) => self.checked_in(now, reply),
            Input::Applied(outcomes) => self.policy_applied(now, outcomes),
            Input::Reported => {
                self.report = Wish::default();
                self.reported = self.reporting.take();
                self.report_if_news(now);
            }
            Input::FactsReported { authority } => {
                self.facts = Wish::default();
                if let Some(authority) = authority {
                    self.told_authority(now, authority);
                }
            }
            Input::Surveyed { news } => self.surveyed(now, news),
            Input::Renewed { expires_at } => self.renewed(now, expires_at),
            Input::Activated(enrolled) => self.activated(now, enrolled),
            Input::TakenBack(taken_back) => self.taken_back(now, taken_back),
            Input::OffboardingConfirmed => self.retire(actions),
        }
    }

    fn surveyed(&mut self, now: Timestamp, news: bool) {
        if self.enrolled.is_none() {
            return self.surveyed_while_refused(now, news);
        }
        self.surveyed = std::mem::take(&mut self.surveys_for_check_in);
        self.survey = Wish::at(now.plus(SURVEY_INTERVAL));
        if news && self.facts.backoff.failures() == 0 {
            self.facts.by(now);
        }
    }

    fn checked_in(&mut self, now: Timestamp, reply: Reply) {
        let Reply { policy, next_check_in, wants_facts, wants_report, wants_renewal, directive, server_time } =
            reply;
        // First: what came with it is judged by the service's time.
        if let Some(server_time) = server_time {
            self.told_time(now, server_time);
        }
        let next = next_check_in.clamp(CHECK_IN_INTERVAL_MIN, CHECK_IN_INTERVAL_MAX);
        self.check_in = Wish::at(now.plus(next));
        self.onboard.backoff.reset();
        if let Some(hint) = self.hint_in_flight.take() {
            self.traceparent = hint.traceparent;
        }
        let received_before = self.received;
        if self.directed(now, directive) {
            self.offered(now, policy);
        }
        self.drop_hint_if_satisfied(received_before);
        if wants_facts {
            self.facts.by(now);
        }
        if wants_renewal && self.next.is_none() && self.renew.backoff.failures() == 0 {
            self.renew = Wish::at(now);
        }
        if wants_report && (self.last_good.is_some() || self.status.refused.is_some()) {
            self.reported = None;
            if self.apply.at.is_none() {
                self.report.by(now);
            }
        }
    }
}

/// Which work an input answers.
const fn work_of(answer: &Input) -> Option<Work> {
    match answer {
        Input::Onboarded(_) | Input::EnrollmentRefused { .. } => Some(Work::Onboard),
        Input::CheckedIn(_) => Some(Work::CheckIn),
        Input::Applied(_) => Some(Work::Apply),
        Input::Reported => Some(Work::Report),
        Input::FactsReported { .. } => Some(Work::ReportFacts),
        Input::Surveyed { .. } => Some(Work::Survey),
        Input::Renewed { .. } => Some(Work::Renew),
        Input::Activated(_) => Some(Work::Activate),
        Input::TakenBack(_) => Some(Work::TakeBack),
        Input::OffboardingConfirmed => Some(Work::Confirm),
        Input::Tick
        | Input::Hint { .. }
        | Input::WatchOpened
        | Input::WatchClosed(_)
        | Input::ProofAppeared
        | Input::Failed(_) => None,
    }
}
