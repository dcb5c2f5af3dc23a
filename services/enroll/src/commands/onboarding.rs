//! Devices come in.

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::{
    CONFLICT_RETRIES_MAX, ExecuteError, Repository, State, append_surely, event_id, prepare,
};
use muster_eventlog::{Actor, Append, AppendError, Context, ReadError};
use muster_types::id::derive;
use muster_types::{
    DeviceId, Digest, EnrollmentCode, EventId, RequestId, ResourceName, StreamId, TenantId, TokenId, Version,
};

use super::devices::seated;
use super::{Commands, TOKEN_LOCKS, enrollment_stream, token_stream};
use crate::domain::enrollment::{Enrollment, ManagedBy, Outcome};
use crate::domain::facts::DeviceFacts;
use crate::domain::onboarding::{self, Onboard, Onboarding};
use crate::domain::trouble::Trouble;

/// When a device that is refused may ask again, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 60 * 60;
/// How many mergers are followed from the device that hardware once was to the one it is.
const MERGERS_MAX: usize = 8;

/// A device that wants to come in.
#[derive(Debug, Clone)]
pub struct OnboardDevice {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The device that its proof is of, if identity knows one; else its hardware says which it is.
    pub device: Option<DeviceId>,
    /// The token it comes with.
    pub token: TokenId,
    /// SHA-256 of the secret it presents.
    pub secret_hash: Digest,
    /// SHA-256 of its public key.
    pub key_digest: Digest,
    /// What its survey found.
    pub facts: DeviceFacts,
    /// What had kept it from getting through.
    pub troubles: Vec<Trouble>,
}

/// A device that onboarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIn {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// The request that onboarded it: this one, or the one it repeats.
    pub request: RequestId,
    /// The event that onboarded it.
    pub cause: EventId,
    /// What has come of its enrollment so far.
    pub outcome: Outcome,
    /// Why.
    pub code: EnrollmentCode,
    /// The reason of a refusal for people; empty otherwise.
    pub message: Box<str>,
    /// Who manages it.
    pub authority: ManagedBy,
    /// Position of the last event written; `None` when this was a repeat.
    pub position: Option<u64>,
}

/// A device that onboarded and may not be managed by this channel: it gets no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the device may not be enrolled ({code}): {message}")]
pub struct NotAdmitted {
    /// The device's resource name.
    pub device: ResourceName,
    /// Why.
    pub code: EnrollmentCode,
    /// The reason for people.
    pub message: Box<str>,
}

impl DeviceIn {
    /// The device, if it may have a certificate.
    ///
    /// # Errors
    /// [`NotAdmitted`] with the reason, which stands in the log.
    pub fn admitted(self) -> Result<Self, NotAdmitted> {
        if self.outcome.takes_seat() {
            return Ok(self);
        }
        let Self { tenant, device, code, message, .. } = self;
        Err(NotAdmitted { device: ResourceName::Device(tenant, device), code, message })
    }
}

impl From<NotAdmitted> for Fault {
    fn from(error: NotAdmitted) -> Self {
        Self::new(ErrorCode::EnrollmentRefused, error.to_string())
            .with("enrollment_code", error.code)
            .with("defender_code", error.code.shown_defender_code())
            .with("device", error.device)
            .with("retry_after_seconds", RETRY_AFTER_SECONDS)
    }
}

impl Commands {
    /// Takes a device in: the token's use and the device's onboarding, both or neither. A device that may not be managed
    /// is noted with the reason and uses nothing up; see [`DeviceIn::admitted`].
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
        let (tenant, token_at) = (wish.tenant, token_stream(wish.tenant, wish.token));
        let (device, enrollment) = self.who(wish).await?;
        let enrollment_at = enrollment_stream(tenant, device);
        let token = self.tokens.load(&self.log, token_at).await?;
        let request = onboarding_request(wish, device, enrollment.1);
        let context = self.context(Actor::device(device), request);
        let rules = self.rules(tenant).await?;
        let ticket = self.ticket((tenant, device), &rules, false);
        let command = wish.command(device, &context);
        let decide = |seat| onboarding::decide(&token.0, &enrollment.0, &command, &rules.with(seat, request));
        let decided = seated(&ticket, &enrollment.0, decide, |decided| &decided.enrollment);
        let Onboarding { token: token_events, enrollment: events } =
            decided.map_err(ExecuteError::Refused)?;
        let token = Change { stream: token_at, was: token, events: token_events };
        let enrollment = Change { stream: enrollment_at, was: enrollment, events };
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
        ticket.settle(enrollment.takes_seat(), position);
        let onboarded = enrollment.onboarded().expect("a device that was decided about is onboarded");
        Ok(DeviceIn {
            tenant,
            device,
            request: onboarded.request,
            cause: event_id(enrollment_at, onboarded.request, 0),
            outcome: onboarded.outcome,
            code: onboarded.code,
            message: onboarded.message.clone(),
            authority: onboarded.authority,
            position,
        })
    }

    /// The device that wants to come in: one that was merged into another is that other.
    async fn who(&self, wish: &OnboardDevice) -> Result<(DeviceId, (Enrollment, Version)), ReadError> {
        let mut device = wish.device.unwrap_or_else(|| device_id(wish.tenant, &wish.facts.hardware_digest));
        let mut mergers = 0;
        loop {
            let known = self.enrollments.load(&self.log, enrollment_stream(wish.tenant, device)).await?;
            match known.0.onboarded().and_then(|onboarded| onboarded.merged_into) {
                Some(into) if mergers < MERGERS_MAX => (device, mergers) = (into, mergers + 1),
                _ => return Ok((device, known)),
            }
        }
    }
}

impl OnboardDevice {
    fn command(&self, device: DeviceId, context: &Context) -> Onboard {
        Onboard {
            token: self.token,
            secret_hash: self.secret_hash,
            device,
            key_digest: self.key_digest,
            facts: self.facts.clone(),
            troubles: self.troubles.clone(),
            now: context.time,
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
    fn append(&self, request: RequestId, context: &Context) -> Option<Append> {
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
