//! The core's hands: runs its actions and tells it what came of them.
//!
//! One loop waits for everything; whatever changes, changes in [`Core::handle`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_errors::{ErrorCode, Fault};
use muster_proto::convert;
use muster_proto::enroll::v1::DeviceFacts;
use muster_proto::policy::v1 as policy;
use muster_telemetry::context;
use muster_types::{Clock as _, Digest, SystemClock, Timestamp};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use crate::calls::{self, Enrollment, Session};
use crate::config::Config;
use crate::core::message::{Action, Document, Input, Outcome, Reply, Status, Work};
use crate::core::{Core, Memory};
use crate::engine::{Engine, enforce};
use crate::error::Error;
use crate::snapshot::Snapshot;
use crate::state::{Progress, StateDir};
use crate::wire;

/// Hints that may wait for the core; it takes them at once.
const HINTS_MAX: usize = 4;
/// The loop looks at the clock at least this often, for clocks are set and machines sleep.
const SLEEP_MAX: Duration = Duration::from_secs(60);

type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a piece of work brought.
enum Done {
    Onboarded(Box<(Enrollment, DeviceFacts)>),
    CheckedIn(Box<Reply>),
    Applied(Vec<Outcome>),
    Reported(Vec<u8>),
    FactsReported { digest: Vec<u8>, sent: Vec<u8> },
    Failed(ErrorCode, String),
}

impl From<Fault> for Done {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.code, fault.message)
    }
}

impl From<Error> for Done {
    fn from(error: Error) -> Self {
        Self::Failed(error.code, error.message)
    }
}

/// When the loop ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Never.
    Stopped,
    /// One check-in, and what follows from it, is done.
    CheckedIn,
}

/// Everything an agent holds.
pub(crate) struct Shell {
    config: Config,
    state: Arc<StateDir>,
    engines: Arc<Mutex<Vec<Box<dyn Engine>>>>,
    enrollment: Option<Enrollment>,
    core: Core,
    progress: Progress,
    session: [u8; 16],
    wake: Option<Timestamp>,
    job: Option<Job>,
    watching: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    inputs: mpsc::Receiver<Input>,
    reporting: Option<Arc<Status>>,
    problem: Option<(ErrorCode, String)>,
    stop: Option<ErrorCode>,
    checked_in: bool,
    shown: watch::Sender<Snapshot>,
}

impl Shell {
    /// Takes up where the last run ended. Must be called inside a Tokio runtime.
    pub(crate) fn new(
        config: Config,
        state: Arc<StateDir>,
        engines: Vec<Box<dyn Engine>>,
        shown: watch::Sender<Snapshot>,
    ) -> Result<Self, Error> {
        let progress = state.progress()?;
        let key = state.key()?;
        let enrollment =
            state.enrollment()?.map(|response| Enrollment::read(response, &config, &key)).transpose()?;
        let memory = Memory {
            enrolled: enrollment.as_ref().map(|enrollment| enrollment.enrolled.clone()),
            last_good: enrollment.as_ref().map(|by| last_good(&state, by)).transpose()?.flatten(),
            applied: progress
                .applied
                .as_ref()
                .and_then(|(etag, version, at)| Some((wire::digest(etag)?, *version, *at))),
        };
        let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
        let core = Core::new(memory, config.token.is_some(), seed, SystemClock.now());
        Ok(Self {
            config,
            state,
            engines: Arc::new(Mutex::new(engines)),
            enrollment,
            core,
            progress,
            session: uuid::Uuid::new_v4().into_bytes(),
            wake: None,
            job: None,
            watching: None,
            inputs: mpsc::channel(1).1,
            reporting: None,
            problem: None,
            stop: None,
            checked_in: false,
            shown,
        })
    }

    /// Works until `shutdown`, until the core stops, or until what was asked for is done.
    pub(crate) async fn run(mut self, until: Until, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::pin!(shutdown);
        self.take(Input::Tick)?;
        loop {
            if let Some(code) = self.stop {
                return Err(self.why(code));
            }
            if until == Until::CheckedIn && self.core.work().is_none() {
                match self.core.last_error() {
                    Some(code) => return Err(self.why(code)),
                    None if self.checked_in => return Ok(()),
                    None => {}
                }
            }
            let sleep = self.wake.map_or(SLEEP_MAX, |at| at.since(SystemClock.now()).min(SLEEP_MAX));
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                done = optional(&mut self.job) => {
                    self.job = None;
                    let input = self.settle(done)?;
                    self.take(input)?;
                }
                Some(input) = self.inputs.recv() => self.take(input)?,
                () = optional(&mut self.watching) => self.watching = None,
                () = tokio::time::sleep(sleep) => self.take(Input::Tick)?,
            }
        }
    }

    fn why(&self, code: ErrorCode) -> Error {
        let expired = self.core.enrolled().map(|enrolled| enrolled.certificate_expires_at);
        match (&self.problem, expired) {
            (_, Some(at)) if code == ErrorCode::CertificateInvalid && at <= SystemClock.now() => {
                let message = format!(
                    "the device's certificate expired at {at}: onboard again by starting the agent with --token"
                );
                Error::new(code, message)
            }
            (Some((known, message)), _) if *known == code => Error::new(code, message.clone()),
            _ => Error::new(code, "the agent cannot go on; its error page says what to do"),
        }
    }

    /// Gives the core an input and does what it says.
    fn take(&mut self, input: Input) -> Result<(), Error> {
        let opened = matches!(input, Input::WatchOpened);
        if opened || matches!(input, Input::WatchClosed(_)) {
            self.shown.send_modify(|shown| shown.connected = opened);
        }
        let applied = self.core.applied();
        let actions = self.core.handle(SystemClock.now(), input);
        self.wake = None;
        for action in actions {
            self.act(action);
        }
        let newly_applied = self.core.applied() != applied;
        self.show(newly_applied);
        if newly_applied {
            self.progress.applied = calls::kept(self.core.applied());
            self.keep_progress()?;
        }
        Ok(())
    }

    fn show(&self, newly_applied: bool) {
        let applied = self.core.applied();
        let last_error = self.core.last_error().map(|code| match &self.problem {
            Some((known, message)) if *known == code => format!("{code}: {message}"),
            _ => code.to_string(),
        });
        self.shown.send_modify(|shown| {
            shown.device = self.enrollment.as_ref().map(|enrollment| enrollment.device.clone());
            shown.spiffe_id = self.enrollment.as_ref().map(|enrollment| enrollment.spiffe_id.clone());
            shown.applied_etag = applied.map(|(etag, ..)| etag.to_vec());
            shown.applied_version = applied.map(|(_, version, _)| version).unwrap_or_default();
            shown.applied_at = applied.map(|(.., at)| at);
            if newly_applied || shown.applied_instant.is_none() {
                shown.applied_instant = applied.map(|_| Instant::now());
            }
            shown.last_error = last_error;
        });
    }

    fn keep_progress(&self) -> Result<(), Error> {
        match self.state.keep_progress(&self.progress) {
            // It is written again with the next change; a lost one costs a report more.
            Err(error) if error.code == ErrorCode::DiskFull => {
                tracing::warn!(%error, "progress was not kept");
                Ok(())
            }
            other => other,
        }
    }

    /// Takes in what a piece of work brought.
    fn settle(&mut self, done: Done) -> Result<Input, Error> {
        let input = match done {
            Done::Onboarded(onboarded) => {
                let (enrollment, facts) = *onboarded;
                tracing::info!(device = enrollment.device, "onboarded");
                self.progress.facts = facts.encode_to_vec();
                let enrolled = enrollment.enrolled.clone();
                self.enrollment = Some(enrollment);
                self.keep_progress()?;
                Input::Onboarded(enrolled)
            }
            Done::CheckedIn(reply) => {
                self.checked_in = true;
                if let Some(Err(refusal)) = &reply.policy {
                    self.problem = Some((refusal.code, refusal.message.clone()));
                }
                Input::CheckedIn(*reply)
            }
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
            Done::FactsReported { digest, sent } => {
                self.progress.facts_digest = digest;
                self.progress.facts = sent;
                self.keep_progress()?;
                Input::FactsReported
            }
            Done::Failed(code, message) => {
                let work = self.core.work().map_or("work", name);
                tracing::warn!(%code, message, "{work} failed");
                self.problem = Some((code, message));
                Input::Failed(code)
            }
        };
        Ok(input)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::WakeAt(at) => self.wake = Some(at),
            Action::Stop(code) => self.stop = Some(code),
            Action::OpenWatch { applied } => self.open_watch(applied),
            Action::Onboard => {
                let onboard = calls::onboard(self.config.clone(), Arc::clone(&self.state));
                self.start("onboard", "", async {
                    onboard.await.map_or_else(Done::from, |onboarded| Done::Onboarded(Box::new(onboarded)))
                });
            }
            Action::CheckIn(check_in) => {
                let session = self.session();
                self.with_enrollment("check in", &check_in.traceparent.clone(), |enrollment| async {
                    let reply = calls::check_in(enrollment, check_in, session).await;
                    reply.map_or_else(Done::from, |reply| Done::CheckedIn(Box::new(reply)))
                });
            }
            Action::Apply { policy, traceparent } => {
                let (state, engines) = (Arc::clone(&self.state), Arc::clone(&self.engines));
                self.start("apply", &traceparent, apply(state, engines, policy));
            }
            Action::Report { status, traceparent } => {
                let message = wire::status(&status);
                self.reporting = Some(status);
                self.with_enrollment("report status", &traceparent, |enrollment| async {
                    calls::report_status(enrollment, message).await.map_or_else(Done::from, Done::Reported)
                });
            }
            Action::ReportFacts => {
                let root = self.config.facts_root.clone();
                self.with_enrollment("report facts", "", |enrollment| async {
                    let reported = calls::report_facts(enrollment, root).await;
                    reported.map_or_else(Done::from, |(digest, sent)| Done::FactsReported { digest, sent })
                });
            }
        }
    }

    fn session(&self) -> Session {
        let Progress { applied: _, facts_digest, facts, report_digest } = &self.progress;
        Session {
            id: self.session,
            facts_root: self.config.facts_root.clone(),
            facts_digest: facts_digest.clone(),
            facts_sent: facts.clone(),
            report_digest: report_digest.clone(),
        }
    }

    fn with_enrollment<F: Future<Output = Done> + Send + 'static>(
        &mut self,
        what: &'static str,
        traceparent: &str,
        work: impl FnOnce(Enrollment) -> F,
    ) {
        match self.enrollment.clone() {
            Some(enrollment) => self.start(what, traceparent, work(enrollment)),
            None => self.start(what, traceparent, async {
                Done::Failed(ErrorCode::CertificateRequired, "this device is not onboarded".to_owned())
            }),
        }
    }

    /// Begins a piece of work, in the trace that led to it.
    fn start(
        &mut self,
        what: &'static str,
        traceparent: &str,
        work: impl Future<Output = Done> + Send + 'static,
    ) {
        let span = tracing::info_span!("agent", otel.name = what);
        context::set_parent(&span, traceparent);
        self.job = Some(Box::pin(work.instrument(span)));
    }

    fn open_watch(&mut self, applied: Option<Digest>) {
        let Some(enrollment) = &self.enrollment else { return };
        let (sender, receiver) = mpsc::channel(HINTS_MAX);
        self.inputs = receiver;
        let applied_etag = applied.map(|etag| etag.to_vec()).unwrap_or_default();
        self.watching = Some(Box::pin(follow(enrollment.clone(), applied_etag, sender)));
    }
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::Onboard => "onboarding",
        Work::CheckIn => "the check-in",
        Work::Apply => "applying",
        Work::Report => "the report",
        Work::ReportFacts => "the report of facts",
    }
}

/// The future's output, or never.
async fn optional<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// The last good policy; one that no trusted key signed any more is forgotten.
fn last_good(state: &StateDir, enrollment: &Enrollment) -> Result<Option<Document>, Error> {
    let Some(bytes) = state.policy()? else { return Ok(None) };
    let signed = policy::SignedPolicy::decode(&*bytes).unwrap_or_default();
    match wire::document(&signed, &enrollment.verifier) {
        Ok(document) => Ok(Some(document)),
        Err(refusal) => {
            tracing::warn!(code = %refusal.code, "the policy kept from the last run is not obeyed any more");
            Ok(None)
        }
    }
}

async fn apply(
    state: Arc<StateDir>,
    engines: Arc<Mutex<Vec<Box<dyn Engine>>>>,
    policy: Arc<Document>,
) -> Done {
    let span = tracing::Span::current();
    let work = move || {
        span.in_scope(|| {
            // Kept first: a version that was ever in force must never be undercut.
            state.keep_policy(&policy.signed)?;
            Ok::<_, Error>(enforce(&mut engines.lock(), &policy.settings))
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(outcomes)) => Done::Applied(outcomes),
        Ok(Err(error)) => Done::from(error),
        Err(_) => Done::Failed(ErrorCode::Internal, "an engine broke off".to_owned()),
    }
}

/// Follows the watch to its end. A receiver that is gone means that nobody listens any more.
async fn follow(enrollment: Enrollment, applied_etag: Vec<u8>, inputs: mpsc::Sender<Input>) {
    let request = policy::WatchRequest { applied_etag };
    let mut hints = match enrollment.policy.device_policy().watch(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            let code = Fault::from_status(&status).code;
            drop(inputs.send(Input::WatchClosed(Some(code))).await);
            return;
        }
    };
    drop(inputs.send(Input::WatchOpened).await);
    let end = loop {
        match hints.message().await {
            Ok(Some(policy::WatchResponse { etag, spread, traceparent })) => {
                let spread = spread.map(convert::span).unwrap_or_default();
                let hint = Input::Hint { etag: wire::digest(&etag), spread, traceparent };
                drop(inputs.send(hint).await);
            }
            Ok(None) => break None,
            Err(status) => break Some(Fault::from_status(&status).code),
        }
    };
    drop(inputs.send(Input::WatchClosed(end)).await);
}
