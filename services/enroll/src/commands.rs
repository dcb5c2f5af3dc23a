//! The only writer: load, decide, append with the expected version.

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::command::{
    CONFLICT_RETRIES_MAX, ExecuteError, Executed, Repository, State, append_surely, event_id, prepare,
};
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, AppendError, Context, ReadError};
use muster_telemetry::context::current_traceparent;
use muster_types::id::derive;
use muster_types::{
    Clock, DeviceId, Digest, EventId, RequestId, Service, StreamId, TenantId, TokenId, Version,
};
use tokio::sync::Mutex;

use crate::domain::enrollment::{self, Enrollment, Outcome};
use crate::domain::facts::DeviceFacts;
use crate::domain::onboarding::{self, Onboard, Onboarding};
use crate::domain::onboarding_token::{self, OnboardingToken, Terms};

/// Onboardings with one token wait for each other here instead of in conflicts at the log; tokens share these locks.
const TOKEN_LOCKS: usize = 64;

/// A token to make.
#[derive(Debug, Clone)]
pub struct IssueToken {
    /// The tenant it is for.
    pub tenant: TenantId,
    /// The request; the token's id follows from it.
    pub request: RequestId,
    /// SHA-256 of its secret.
    pub secret_hash: Digest,
    /// How long it works.
    pub ttl: Duration,
    /// What it lets in, and what it gives.
    pub terms: Terms,
    /// Only say what would come of it.
    pub validate_only: bool,
}

/// A device that wants to come in.
#[derive(Debug, Clone)]
pub struct OnboardDevice {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The token it comes with.
    pub token: TokenId,
    /// SHA-256 of the secret it presents.
    pub secret_hash: Digest,
    /// SHA-256 of its public key.
    pub key_digest: Digest,
    /// What its survey found.
    pub facts: DeviceFacts,
}

/// A device that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceIn {
    /// The device.
    pub device: DeviceId,
    /// The request that onboarded it: this one, or the one it repeats.
    pub request: RequestId,
    /// The event that onboarded it.
    pub cause: EventId,
    /// What had come of its enrollment so far.
    pub outcome: Outcome,
    /// Position of the last event written; `None` when this was a repeat.
    pub position: Option<u64>,
}

/// The commands of this service.
pub struct Commands {
    log: SharedLog,
    clock: Arc<dyn Clock>,
    tokens: Repository<OnboardingToken>,
    enrollments: Repository<Enrollment>,
    token_locks: [Mutex<()>; TOKEN_LOCKS],
}

impl Commands {
    /// Commands that write to a log.
    #[must_use]
    pub fn new(log: SharedLog, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            tokens: Repository::default(),
            enrollments: Repository::default(),
            token_locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Makes an onboarding token. The same request again finds the token it made.
    ///
    /// # Errors
    /// Refused when the request id made another token.
    pub async fn issue_token(
        &self,
        issue: &IssueToken,
        actor: Actor,
    ) -> Result<Executed<OnboardingToken>, ExecuteError<onboarding_token::Error>> {
        let context = self.context(actor, issue.request);
        let command = onboarding_token::Command::Issue {
            secret_hash: issue.secret_hash,
            expire_time: context.time.plus(issue.ttl),
            terms: issue.terms.clone(),
            now: context.time,
        };
        let stream = token_stream(issue.tenant, token_id(issue.tenant, issue.request));
        let decide = |token: &OnboardingToken| token.decide(&command);
        if issue.validate_only {
            return self.tokens.rehearse(&self.log, stream, decide).await;
        }
        // Of two calls with one request id, each with a secret of its own, the log must take only one as written.
        let call = derive("issue-token", &[issue.request.as_bytes(), &issue.secret_hash]);
        self.tokens.execute(&self.log, stream, RequestId::from_uuid(call), &context, decide).await
    }

    /// Revokes an onboarding token.
    ///
    /// # Errors
    /// Refused when there is no such token.
    pub async fn revoke_token(
        &self,
        (tenant, id): (TenantId, TokenId),
        request: RequestId,
        validate_only: bool,
        actor: Actor,
    ) -> Result<Executed<OnboardingToken>, ExecuteError<onboarding_token::Error>> {
        let context = self.context(actor, request);
        let command = onboarding_token::Command::Revoke { now: context.time };
        let stream = token_stream(tenant, id);
        let decide = |token: &OnboardingToken| token.decide(&command);
        if validate_only {
            return self.tokens.rehearse(&self.log, stream, decide).await;
        }
        self.tokens.execute(&self.log, stream, request, &context, decide).await
    }

    /// Takes a device in: the token's use and the device's onboarding, both or neither.
    ///
    /// # Errors
    /// Refused as [`onboarding::decide`] says.
    pub async fn onboard(&self, wish: &OnboardDevice) -> Result<DeviceIn, ExecuteError<onboarding::Error>> {
        let lock = usize::from(token_stream(wish.tenant, wish.token).partition()) % TOKEN_LOCKS;
        let _turn = self.token_locks[lock].lock().await;
        let mut conflicts = 0;
        loop {
            match self.try_onboard(wish).await {
                Err(ExecuteError::Append(AppendError::Conflict { .. }))
                    if conflicts < CONFLICT_RETRIES_MAX =>
                {
                    conflicts += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_onboard(&self, wish: &OnboardDevice) -> Result<DeviceIn, ExecuteError<onboarding::Error>> {
        let device = device_id(wish.tenant, &wish.facts.hardware_digest);
        let (token_at, enrollment_at) =
            (token_stream(wish.tenant, wish.token), enrollment_stream(wish.tenant, device));
        let token = self.tokens.load(&self.log, token_at).await?;
        let enrollment = self.enrollments.load(&self.log, enrollment_at).await?;
        let request = onboarding_request(wish, device, enrollment.1);
        let context = self.context(Actor::device(device), request);
        let command = Onboard {
            token: wish.token,
            secret_hash: wish.secret_hash,
            device,
            key_digest: wish.key_digest,
            facts: wish.facts.clone(),
            request,
            now: context.time,
        };
        let Onboarding { token: token_events, enrollment: enrollment_events } =
            onboarding::decide(&token.0, &enrollment.0, &command).map_err(ExecuteError::Refused)?;
        let token = Change { stream: token_at, was: token, events: token_events };
        let enrollment = Change { stream: enrollment_at, was: enrollment, events: enrollment_events };
        let appends: Vec<_> = [token.append(request, &context), enrollment.append(request, &context)]
            .into_iter()
            .flatten()
            .collect();
        let position = if appends.is_empty() {
            None
        } else {
            let appended = append_surely(&self.log, appends).await.inspect_err(|_| {
                self.tokens.forget(token_at);
                self.enrollments.forget(enrollment_at);
            })?;
            Some(appended.position)
        };
        token.remember(&self.tokens);
        let enrollment = enrollment.remember(&self.enrollments);
        let onboarded = enrollment.onboarded().expect("a device that was let in is onboarded");
        Ok(DeviceIn {
            device,
            request: onboarded.request,
            cause: event_id(enrollment_at, onboarded.request, 0),
            outcome: onboarded.outcome,
            position,
        })
    }

    /// Notes what a device says of itself.
    ///
    /// # Errors
    /// Refused when the device was never onboarded or the facts are out of bounds.
    pub async fn report_facts(
        &self,
        (tenant, device): (TenantId, DeviceId),
        facts: DeviceFacts,
    ) -> Result<Executed<Enrollment>, ExecuteError<enrollment::Error>> {
        let request = RequestId::generate();
        let context = self.context(Actor::device(device), request);
        let command = enrollment::Command::ReportFacts { facts };
        let stream = enrollment_stream(tenant, device);
        self.enrollments.execute(&self.log, stream, request, &context, |it| it.decide(&command)).await
    }

    /// Notes that trust in a device's key is established. May be said any number of times, by the call that
    /// onboards and by the process manager.
    ///
    /// # Errors
    /// Refused when the device was never onboarded.
    pub async fn succeed(
        &self,
        (tenant, device): (TenantId, DeviceId),
        key_digest: Digest,
        spiffe_id: &str,
    ) -> Result<Executed<Enrollment>, ExecuteError<enrollment::Error>> {
        let stream = enrollment_stream(tenant, device);
        let (known, _) = self.enrollments.load(&self.log, stream).await?;
        let onboarded = known.onboarded().ok_or(ExecuteError::Refused(enrollment::Error::Unknown))?;
        let context = Context {
            causation_id: Some(event_id(stream, onboarded.request, 0)),
            ..self.context(Actor::service(Service::Enroll), onboarded.request)
        };
        let request = RequestId::from_uuid(derive("enrollment-succeeded", &[onboarded.request.as_bytes()]));
        let command = enrollment::Command::Succeed { key_digest, spiffe_id: spiffe_id.to_owned() };
        self.enrollments.execute(&self.log, stream, request, &context, |it| it.decide(&command)).await
    }

    /// Where a reader must be to see what a command came to: at its last event or, when there was nothing to do, at the
    /// end of the log.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn seen_at(&self, written: Option<u64>) -> Result<u64, ReadError> {
        match written {
            Some(position) => Ok(position),
            None => self.log.head(Service::Enroll).await,
        }
    }

    fn context(&self, actor: Actor, request: RequestId) -> Context {
        Context {
            actor,
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        }
    }
}

/// What a command does to one of its aggregates.
struct Change<S: State> {
    stream: StreamId,
    was: (S, Version),
    events: Vec<S::Event>,
}

impl<S: State> Change<S> {
    fn append(&self, request: RequestId, context: &Context) -> Option<muster_eventlog::Append> {
        let events = (!self.events.is_empty()).then_some(&self.events)?;
        Some(prepare::<S>(self.stream, self.was.1, request, context, events))
    }

    fn remember(self, repository: &Repository<S>) -> S {
        let Self { stream, was: (mut state, version), events } = self;
        events.iter().for_each(|event| state.evolve(event));
        repository.remember(stream, state.clone(), Version(version.0 + events.len() as u64));
        state
    }
}

/// The id of the token that a request makes.
#[must_use]
pub fn token_id(tenant: TenantId, request: RequestId) -> TokenId {
    TokenId::from_uuid(derive("onboarding-token", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}

/// The id of the device with this hardware: it stays the same over re-installations.
#[must_use]
pub fn device_id(tenant: TenantId, hardware_digest: &Digest) -> DeviceId {
    DeviceId::from_uuid(derive("device", &[tenant.as_str().as_bytes(), hardware_digest]))
}

/// The request of an onboarding, which the contract has none for. The version tells a device that comes back to an old
/// key from one that repeats itself.
fn onboarding_request(wish: &OnboardDevice, device: DeviceId, version: Version) -> RequestId {
    let version = version.0.to_be_bytes();
    RequestId::from_uuid(derive(
        "onboarding",
        &[wish.token.as_bytes(), device.as_bytes(), &wish.key_digest, &version],
    ))
}

fn token_stream(tenant: TenantId, id: TokenId) -> StreamId {
    StreamId::new(tenant, OnboardingToken::AGGREGATE, id.uuid())
}

fn enrollment_stream(tenant: TenantId, id: DeviceId) -> StreamId {
    StreamId::new(tenant, Enrollment::AGGREGATE, id.uuid())
}
