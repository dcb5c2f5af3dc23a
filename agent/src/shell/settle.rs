//! What a piece of work brought, kept and turned into the core's words.

use std::time::Duration;

use muster_errors::ErrorCode;
use muster_proto::enroll::v1::PolicyVerificationKey;
use muster_types::{Clock as _, EnrollmentCode, SystemClock, Timestamp};
use prost::Message as _;

use super::{Done, Shell, tolerant};
use crate::calls::{Admission, CheckedIn, Enrollment, FactsReport, Onboarding};
use crate::core::message::{Authority, Directive, Input, ManagedBy, Work};
use crate::core::{SKEW_MAX, Skew};
use crate::error::Error;
use crate::state::Progress;
use crate::troubles::Trouble;
use crate::wire;

/// Enrollment code of a device that is managed as it should be.
pub(super) const ENROLLED: &str = "ENROLLED";
/// What is known of the device's clock is kept anew when it is off by this much more or less.
const SKEW_NEWS: Duration = Duration::from_secs(60);

impl Shell {
    /// Takes in what a piece of work brought.
    pub(super) fn settle(&mut self, done: Done) -> Result<Input, Error> {
        let input = match done {
            Done::Onboarded(onboarding) => self.onboarded(*onboarding)?,
            Done::CheckedIn(checked_in) => self.checked_in(*checked_in)?,
            Done::Applied(outcomes) => {
                for failed in outcomes.iter().filter(|outcome| !outcome.message.is_empty()) {
                    tracing::warn!(setting = %failed.id, problem = failed.message, "a setting is not in force");
                }
                Input::Applied(outcomes)
            }
            Done::Reported(digest) => {
                let status = self.reporting.take().unwrap_or_default();
                self.shown.send_modify(|shown| {
                    shown.last_report.clone_from(&status.settings);
                    shown.last_report_at = Some(SystemClock.now());
                });
                self.progress.report_digest = digest;
                self.keep_progress()?;
                Input::Reported
            }
            Done::FactsReported(reported) => self.facts_reported(*reported)?,
            Done::Surveyed(facts) => {
                let news = facts.encode_to_vec() != self.progress.facts;
                Input::Surveyed { news: news || !self.troubles.all().is_empty() }
            }
            Done::Renewed(expires_at, proof_digest) => {
                tracing::info!(%expires_at, "the certificate is renewed");
                self.progress.proof_digest = proof_digest.or(self.progress.proof_digest);
                self.keep_progress()?;
                Input::Renewed { expires_at }
            }
            Done::Activated(enrollment) => self.activated(*enrollment)?,
            Done::TakenBack(taken_back) => {
                for (setting, problem) in &taken_back.failed {
                    tracing::warn!(%setting, problem, "a setting could not be taken back");
                }
                Input::TakenBack(taken_back)
            }
            Done::Confirmed => Input::OffboardingConfirmed,
            Done::Failed(code, message) => self.failed(code, message),
        };
        Ok(input)
    }

    fn onboarded(&mut self, onboarding: Onboarding) -> Result<Input, Error> {
        let Onboarding { admission, facts, troubles, proof_digest } = onboarding;
        self.told(&troubles)?;
        self.progress.facts = facts.encode_to_vec();
        let input = match admission {
            Admission::Granted(enrollment) => {
                tracing::info!(device = enrollment.device, "onboarded");
                let code = &enrollment.response.enrollment_code;
                let code = if code.is_empty() { ENROLLED } else { code };
                self.progress.authority =
                    Some(Authority { managed_by: ManagedBy::Muster, code: code.to_owned() });
                self.progress.refusal = None;
                self.progress.proof_digest = proof_digest.or(self.progress.proof_digest);
                let enrolled = enrollment.enrolled.clone();
                self.enrollment = Some(*enrollment);
                Input::Onboarded(enrolled)
            }
            Admission::Refused { authority, message, retry_after } => {
                tracing::warn!(code = authority.code, message, "this device may not be enrolled for now");
                self.problem = Some((ErrorCode::EnrollmentRefused, message.clone()));
                self.progress.authority = Some(authority);
                self.progress.refusal = Some(message);
                Input::EnrollmentRefused { retry_after }
            }
        };
        self.keep_progress()?;
        Ok(input)
    }

    fn checked_in(&mut self, checked_in: CheckedIn) -> Result<Input, Error> {
        let CheckedIn { reply, policy_keys } = checked_in;
        self.checked_in = true;
        if !policy_keys.is_empty() {
            self.learn(policy_keys)?;
        }
        if let Some(server_time) = reply.server_time {
            self.compare_clocks(server_time)?;
        }
        let policy = reply.policy.as_ref().and_then(|policy| policy.as_ref().err());
        let order = match &reply.directive {
            Directive::Decommission(Err(refusal)) => Some(refusal),
            Directive::Decommission(Ok(_))
            | Directive::None
            | Directive::StandDown { .. }
            | Directive::Quarantine => None,
        };
        if let Some(refusal) = order.or(policy) {
            self.problem = Some((refusal.code, refusal.message.clone()));
        }
        Ok(Input::CheckedIn(reply))
    }

    /// Believes other keys from now on. Kept before a policy that they signed.
    fn learn(&mut self, policy_keys: Vec<PolicyVerificationKey>) -> Result<(), Error> {
        let Some(enrollment) = &mut self.enrollment else { return Ok(()) };
        enrollment.trust = wire::trust(&policy_keys);
        enrollment.response.policy_keys = policy_keys;
        let ids: Vec<_> = enrollment.trust.keys().map(|(id, _)| id.to_owned()).collect();
        tracing::info!(keys = ids.join(", "), "the keys that sign policies changed");
        self.state.keep_told(&enrollment.response)
    }

    /// Notes a clock that is wrong; one that stays wrong is told once.
    fn compare_clocks(&mut self, server_time: Timestamp) -> Result<(), Error> {
        let now = SystemClock.now();
        let (skew, before) = (Skew::between(now, server_time), self.progress.skew);
        if !skew.differs(before, SKEW_NEWS) {
            return Ok(());
        }
        if skew.is_trouble() && skew.differs(before, SKEW_MAX) {
            tracing::warn!("{}: policies are judged by the server's", skew.words());
            self.troubles.note(now, EnrollmentCode::Clock, &skew.words());
            tolerant(self.state.keep_troubles(&self.troubles))?;
        }
        self.progress.skew = skew;
        self.keep_progress()
    }

    fn facts_reported(&mut self, reported: FactsReport) -> Result<Input, Error> {
        let FactsReport { digest, authority, facts, troubles } = reported;
        self.told(&troubles)?;
        self.progress.facts_digest = digest;
        self.progress.facts = facts.encode_to_vec();
        if authority.is_some() {
            self.progress.authority.clone_from(&authority);
        }
        self.keep_progress()?;
        Ok(Input::FactsReported { authority })
    }

    fn activated(&mut self, enrollment: Enrollment) -> Result<Input, Error> {
        if self.enrollment.as_ref().is_some_and(|before| before.device != enrollment.device) {
            tracing::info!(device = enrollment.device, "this device is another one that was known already");
            // What the services knew, they knew of the other.
            self.progress = Progress {
                authority: self.progress.authority.take(),
                proof_digest: self.progress.proof_digest,
                skew: self.progress.skew,
                ..Progress::default()
            };
            self.keep_progress()?;
        }
        let enrolled = enrollment.enrolled.clone();
        self.enrollment = Some(enrollment);
        Ok(Input::Activated(enrolled))
    }

    fn failed(&mut self, code: ErrorCode, message: String) -> Input {
        let work = self.core.work();
        tracing::warn!(%code, message, "{} failed", work.map_or("work", name));
        if work.is_some_and(calls_out) {
            self.look_into(code, &message);
        }
        self.problem = Some((code, message));
        Input::Failed(code)
    }

    /// What was told of troubles need not be told again.
    fn told(&mut self, troubles: &[Trouble]) -> Result<(), Error> {
        if troubles.is_empty() {
            return Ok(());
        }
        self.troubles.told(troubles);
        tolerant(self.state.keep_troubles(&self.troubles))
    }
}

const fn calls_out(work: Work) -> bool {
    match work {
        Work::Apply | Work::Survey | Work::TakeBack => false,
        Work::Onboard
        | Work::CheckIn
        | Work::Report
        | Work::ReportFacts
        | Work::Renew
        | Work::Activate
        | Work::Confirm => true,
    }
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::Onboard => "onboarding",
        Work::CheckIn => "the check-in",
        Work::Apply => "applying",
        Work::Report => "the report",
        Work::ReportFacts => "the report of facts",
        Work::Survey => "the survey",
        Work::Renew => "the renewal of the certificate",
        Work::Activate => "the first use of the new certificate",
        Work::TakeBack => "taking back",
        Work::Confirm => "the confirmation of the offboarding",
    }
}
