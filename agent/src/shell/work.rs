//! The core's actions, begun.

use std::future::Future;
use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_proto::convert;
use muster_proto::policy::v1 as policy;
use muster_telemetry::context;
use muster_types::{Clock as _, Digest, SettingId, SystemClock};
use parking_lot::Mutex;
use sha2::Digest as _;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{Done, Shell};
use crate::calls::{self, Enrollment, Session};
use crate::core::message::{Action, Closed, Document, Input, Standing};
use crate::engine::{Engine, enforce, take_back, with_withheld};
use crate::error::Error;
use crate::state::{Offboarded, Progress, StateDir};
use crate::wire;

/// Hints that may wait for the core; it takes them at once.
const HINTS_MAX: usize = 4;

type Engines = Arc<Mutex<Vec<Box<dyn Engine>>>>;

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

impl Shell {
    pub(super) fn act(&mut self, action: Action) -> Result<(), Error> {
        match action {
            Action::WakeAt(at) => self.wake = Some(at),
            Action::Stop(code) => self.stop = Some(code),
            Action::OpenWatch { applied } => self.open_watch(applied),
            Action::DropNext => self.state.drop_next()?,
            Action::DropIdentity => {
                self.state.drop_identity()?;
                self.enrollment = None;
            }
            Action::Retire => self.retire()?,
            Action::Onboard => {
                let troubles = self.troubles.all().to_vec();
                let onboard = calls::onboard(self.config.clone(), Arc::clone(&self.state), troubles);
                self.start("onboard", "", async {
                    onboard.await.map_or_else(Done::from, |onboarding| Done::Onboarded(Box::new(onboarding)))
                });
            }
            Action::Survey => {
                let root = self.config.facts_root.clone();
                self.start("survey", "", async {
                    let surveyed = calls::survey(root).await;
                    surveyed.map_or_else(Done::from, |facts| Done::Surveyed(Box::new(facts)))
                });
            }
            Action::Apply { policy, traceparent } => {
                let (state, engines) = (Arc::clone(&self.state), Arc::clone(&self.engines));
                self.start("apply", &traceparent, apply(state, engines, policy));
            }
            Action::TakeBack { policy, kept } => {
                self.start("take back", "", take_back_all(Arc::clone(&self.engines), policy, kept));
            }
            Action::CheckIn(_)
            | Action::Report { .. }
            | Action::ReportFacts
            | Action::Renew { .. }
            | Action::Activate
            | Action::Confirm(_) => self.call(action),
        }
        Ok(())
    }

    /// Begins a call that needs the device's certificate.
    fn call(&mut self, action: Action) {
        let (config, state) = (self.config.clone(), Arc::clone(&self.state));
        match action {
            Action::CheckIn(check_in) => {
                let session = self.session();
                self.with_enrollment("check in", &check_in.traceparent.clone(), |enrollment| async {
                    let reply = calls::check_in(enrollment, check_in, session).await;
                    reply.map_or_else(Done::from, |checked_in| Done::CheckedIn(Box::new(checked_in)))
                });
            }
            Action::Report { status, traceparent } => {
                let message = wire::status(&status);
                self.reporting = Some(status);
                self.with_enrollment("report status", &traceparent, |enrollment| async {
                    calls::report_status(enrollment, message).await.map_or_else(Done::from, Done::Reported)
                });
            }
            Action::ReportFacts => {
                let troubles = self.troubles.all().to_vec();
                self.with_enrollment("report facts", "", |enrollment| async {
                    let reported = calls::report_facts(enrollment, config.facts_root, troubles).await;
                    reported.map_or_else(Done::from, |report| Done::FactsReported(Box::new(report)))
                });
            }
            Action::Renew { with_proof } => {
                self.with_enrollment("renew certificate", "", |enrollment| async move {
                    let renewed = calls::renew(enrollment, config, state, with_proof).await;
                    renewed.map_or_else(Done::from, |(expires_at, proof)| Done::Renewed(expires_at, proof))
                });
            }
            Action::Activate => {
                self.with_enrollment("activate certificate", "", |enrollment| async {
                    let activated = calls::activate(enrollment, config, state).await;
                    activated.map_or_else(Done::from, |enrollment| Done::Activated(Box::new(enrollment)))
                });
            }
            Action::Confirm(offboarding) => {
                self.with_enrollment("confirm offboarding", "", |enrollment| async {
                    let confirmed = calls::confirm(enrollment, offboarding).await;
                    confirmed.map_or_else(Done::from, |()| Done::Confirmed)
                });
            }
            Action::Onboard
            | Action::Survey
            | Action::Apply { .. }
            | Action::TakeBack { .. }
            | Action::OpenWatch { .. }
            | Action::DropNext
            | Action::DropIdentity
            | Action::Retire
            | Action::WakeAt(_)
            | Action::Stop(_) => {}
        }
    }

    fn session(&self) -> Session {
        let Progress { facts_digest, report_digest, .. } = &self.progress;
        Session {
            id: self.session,
            boot_id: self.boot_id,
            facts_digest: facts_digest.clone(),
            report_digest: report_digest.clone(),
        }
    }

    /// The device has left: forgets all but that.
    fn retire(&mut self) -> Result<(), Error> {
        let token = self.config.token.as_ref();
        let offboarded = Offboarded {
            device: self.enrollment.take().map(|enrollment| enrollment.enrolled.device),
            at: SystemClock.now(),
            token_digest: token.map(|token| sha2::Sha256::digest(token.as_bytes()).into()),
        };
        let unfinished = match self.core.standing() {
            Standing::Offboarding(offboarding) => {
                offboarding.outcome.as_ref().is_some_and(|outcome| !outcome.failed.is_empty())
            }
            Standing::Enforcing | Standing::StoodDown { .. } | Standing::Quarantined => false,
        };
        self.state.retire(&offboarded, unfinished)?;
        self.watching = None;
        self.retired = true;
        tracing::info!("this device is offboarded");
        Ok(())
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

async fn apply(state: Arc<StateDir>, engines: Engines, policy: Arc<Document>) -> Done {
    let work = move || {
        // Kept first: a version that was ever in force must never be undercut.
        state.keep_policy(&policy.signed)?;
        let outcomes = enforce(&mut engines.lock(), &policy.settings);
        Ok::<_, Error>(with_withheld(outcomes, &policy.withheld))
    };
    match off_the_loop(work).await {
        Some(Ok(outcomes)) => Done::Applied(outcomes),
        Some(Err(error)) => Done::from(error),
        None => broken_off(),
    }
}

async fn take_back_all(engines: Engines, policy: Option<Arc<Document>>, kept: Vec<SettingId>) -> Done {
    let work = move || {
        let enforced = policy.as_ref().map_or(&[][..], |policy| &policy.settings);
        take_back(&mut engines.lock(), enforced, &kept.into_iter().collect())
    };
    off_the_loop(work).await.map_or_else(broken_off, Done::TakenBack)
}

/// Runs what touches the operating system, in the present trace; `None` when it broke off.
async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.ok()
}

fn broken_off() -> Done {
    Done::Failed(ErrorCode::Internal, "an engine broke off".to_owned())
}

/// Follows the watch to its end. A receiver that is gone means that nobody listens any more.
async fn follow(enrollment: Enrollment, applied_etag: Vec<u8>, inputs: mpsc::Sender<Input>) {
    let request = policy::WatchRequest { applied_etag };
    let mut hints = match enrollment.policy.device_policy().watch(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => {
            let code = Fault::from_status(&status).code;
            drop(inputs.send(Input::WatchClosed(Closed::Failed(code))).await);
            return;
        }
    };
    drop(inputs.send(Input::WatchOpened).await);
    // Once the service said that it ends the stream, how it ends is no matter.
    let mut ending = None;
    let end = loop {
        match hints.message().await {
            Ok(Some(policy::WatchResponse { reconnect_within: Some(within), .. })) => {
                ending = Some(convert::span(within));
            }
            Ok(Some(policy::WatchResponse { etag, spread, traceparent, reconnect_within: None })) => {
                let spread = spread.map(convert::span).unwrap_or_default();
                let hint = Input::Hint { etag: wire::digest(&etag), spread, traceparent };
                drop(inputs.send(hint).await);
            }
            Err(status) if ending.is_none() => break Closed::Failed(Fault::from_status(&status).code),
            Ok(None) | Err(_) => break Closed::Ended { reconnect_within: ending },
        }
    };
    drop(inputs.send(Input::WatchClosed(end)).await);
}
