//! The core's hands: runs its actions and tells it what came of them.
//!
//! One loop waits for everything; whatever changes, changes in [`Core::handle`].

mod diagnosis;
mod settle;
mod work;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_errors::ErrorCode;
use muster_proto::enroll::v1::DeviceFacts;
use muster_types::{Clock as _, Digest, SystemClock, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use self::diagnosis::Diagnosis;
use crate::calls::{self, CheckedIn, Enrollment, FactsReport, Onboarding};
use crate::config::Config;
use crate::core::message::{Authority, Document, Input, ManagedBy, Outcome, Standing, Status, TakenBack};
use crate::core::{Core, Memory};
use crate::engine::Engine;
use crate::error::Error;
use crate::facts;
use crate::snapshot::Snapshot;
use crate::state::{Kept, Progress, StateDir};
use crate::troubles::Troubles;
use crate::wire;

/// The loop looks at the clock at least this often, for clocks are set and machines sleep.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// A diagnosis that is under way when the agent stops is waited for this long.
const LAST_DIAGNOSIS_WAIT_MAX: Duration = Duration::from_secs(10);

type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a piece of work brought.
enum Done {
    Onboarded(Box<Onboarding>),
    CheckedIn(Box<CheckedIn>),
    Applied(Vec<Outcome>),
    Reported(Vec<u8>),
    FactsReported(Box<FactsReport>),
    Surveyed(Box<DeviceFacts>),
    Renewed(Timestamp, Option<Digest>),
    Activated(Box<Enrollment>),
    TakenBack(TakenBack),
    Confirmed,
    Failed(ErrorCode, String),
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
    standing: Standing,
    troubles: Troubles,
    session: [u8; 16],
    boot_id: Option<[u8; 16]>,
    proof_seen: Option<Digest>,
    wake: Option<Timestamp>,
    job: Option<Job>,
    diagnosis: Diagnosis,
    watching: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    inputs: mpsc::Receiver<Input>,
    reporting: Option<Arc<Status>>,
    problem: Option<(ErrorCode, String)>,
    stop: Option<ErrorCode>,
    retired: bool,
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
        let kept = state.take_up()?;
        let (progress, standing, troubles) = (state.progress()?, state.standing()?, state.troubles()?);
        let next = kept.as_ref().and_then(|kept| kept.next.as_ref()).and_then(|next| {
            let own = next.response.certificate_chain_der.first()?;
            Some(crate::certificate::read(own)?.expires_at)
        });
        let read = |Kept { response, key, next: _ }| Enrollment::read(response, &config, &key);
        let enrollment = kept.map(read).transpose()?;
        let memory = Memory {
            enrolled: enrollment.as_ref().map(|enrollment| enrollment.enrolled.clone()),
            next,
            standing: standing.clone(),
            last_good: enrollment.as_ref().map(|by| last_good(&state, by)).transpose()?.flatten(),
            applied: progress
                .applied
                .as_ref()
                .and_then(|(etag, version, at)| Some((wire::digest(etag)?, *version, *at))),
            skew: progress.skew,
            corrections: progress.corrections.clone(),
        };
        let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
        let core = Core::new(memory, config.token.is_some(), seed, SystemClock.now());
        Ok(Self {
            boot_id: facts::boot_id(&config.facts_root),
            config,
            state,
            engines: Arc::new(Mutex::new(engines)),
            enrollment,
            core,
            progress,
            standing,
            troubles,
            session: uuid::Uuid::new_v4().into_bytes(),
            proof_seen: None,
            wake: None,
            job: None,
            diagnosis: Diagnosis::default(),
            watching: None,
            inputs: mpsc::channel(1).1,
            reporting: None,
            problem: None,
            stop: None,
            retired: false,
            checked_in: false,
            shown,
        })
    }

    /// Works until `shutdown`, until the core stops, or until what was asked for is done.
    pub(crate) async fn run(mut self, until: Until, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::pin!(shutdown);
        self.look_for_proof()?;
        self.take(Input::Tick)?;
        loop {
            if let Some(ended) = self.ended(until) {
                self.last_words().await?;
                return ended;
            }
            let sleep = self.wake.map_or(SLEEP_MAX, |at| at.since(SystemClock.now()).min(SLEEP_MAX));
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                done = optional(&mut self.job) => {
                    self.job = None;
                    let input = self.settle(done)?;
                    self.look_for_proof()?;
                    self.take(input)?;
                }
                Some(input) = self.inputs.recv() => self.take(input)?,
                () = optional(&mut self.watching) => self.watching = None,
                found = optional(&mut self.diagnosis.under_way) => self.diagnosed(&found)?,
                () = tokio::time::sleep(sleep) => {
                    self.look_for_proof()?;
                    self.take(Input::Tick)?;
                }
            }
        }
    }

    fn ended(&self, until: Until) -> Option<Result<(), Error>> {
        if self.retired {
            return Some(Ok(()));
        }
        if let Some(code) = self.stop {
            return Some(Err(self.why(code)));
        }
        if until == Until::CheckedIn && self.core.work().is_none() {
            return match self.core.last_error() {
                Some(code) => Some(Err(self.why(code))),
                None => self.checked_in.then_some(Ok(())),
            };
        }
        None
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
            (_, Some(_)) if code == ErrorCode::CertificateRevoked => {
                let message = "the server has ended this device's certificate: onboard again by starting the agent \
                               with --token";
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
        self.keep_standing()?;
        self.wake = None;
        for action in actions {
            self.act(action)?;
        }
        let newly_applied = self.core.applied() != applied;
        self.show(newly_applied);
        let renews_at = self.core.renews_at();
        let corrected = self.progress.corrections != *self.core.corrections();
        if !self.retired && (newly_applied || corrected || self.progress.renews_at != renews_at) {
            self.progress.applied = calls::kept(self.core.applied());
            self.progress.corrections.clone_from(self.core.corrections());
            self.progress.renews_at = renews_at;
            self.keep_progress()?;
        }
        Ok(())
    }

    /// The files that prove a registration may appear, and be replaced, at any time.
    fn look_for_proof(&mut self) -> Result<(), Error> {
        let found = self.config.proof_files().and_then(|files| files.digest());
        if found.is_none() || found == self.proof_seen || found == self.progress.proof_digest {
            return Ok(());
        }
        self.proof_seen = found;
        self.take(Input::ProofAppeared)
    }

    /// Before anything is done because of it: what the device stands for must survive a crash.
    fn keep_standing(&mut self) -> Result<(), Error> {
        if *self.core.standing() == self.standing {
            return Ok(());
        }
        self.standing = self.core.standing().clone();
        let authority = match &self.standing {
            Standing::Enforcing => {
                tracing::info!("this device is under policy");
                Some(Authority { managed_by: ManagedBy::Muster, code: settle::ENROLLED.to_owned() })
            }
            Standing::StoodDown { code } => {
                tracing::warn!(code, "standing down: what was enforced is taken back");
                Some(Authority { managed_by: calls::manager_by(code), code: code.clone() })
            }
            Standing::Quarantined => {
                tracing::warn!(
                    "quarantined: two live sessions use this device's identity, and an admin must resolve it; the last \
                     good policy stays in force"
                );
                None
            }
            Standing::Offboarding(offboarding) => {
                if offboarding.outcome.is_none() {
                    tracing::warn!("offboarding: what was enforced is taken back");
                }
                None
            }
        };
        if authority.is_some() {
            self.progress.authority = authority;
            self.keep_progress()?;
        }
        tolerant(self.state.keep_standing(&self.standing))
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
            shown.authority.clone_from(&self.progress.authority);
            shown.standing = self.core.standing().clone();
            shown.certificate_expires_at =
                self.core.enrolled().map(|enrolled| enrolled.certificate_expires_at);
            shown.renews_at = self.core.renews_at();
            shown.offboarded = self.retired;
            shown.troubles = self.troubles.all().to_vec();
            shown.last_error = last_error;
        });
    }

    fn keep_progress(&self) -> Result<(), Error> {
        // It is written again with the next change; a lost one costs a report more.
        tolerant(self.state.keep_progress(&self.progress))
    }
}

/// A disk that is full for now does not end the agent.
fn tolerant(kept: Result<(), Error>) -> Result<(), Error> {
    match kept {
        Err(error) if error.code == ErrorCode::DiskFull => {
            tracing::warn!(%error, "the agent's state was not kept");
            Ok(())
        }
        other => other,
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
    let opened =
        muster_envelope::decode(&bytes).and_then(|signed| Document::open(&signed, &enrollment.trust));
    match opened {
        Ok(document) => Ok(Some(document)),
        Err(refusal) => {
            tracing::warn!(code = %refusal.code, "the policy kept from the last run is not obeyed any more");
            Ok(None)
        }
    }
}
