//! What is asked of devices that are known.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use muster_eventlog::command::{ExecuteError, Executed, event_id};
use muster_eventlog::{Actor, Context};
use muster_types::id::derive;
use muster_types::{DeviceId, Digest, EventId, RequestId, Service, TenantId};

use super::seats::Ticket;
use super::{Asked, Commands, TenantRules, enrollment_stream};
use crate::domain::enrollment::{Command, Enrollment, Error, Event, Rules, Seat, TakenBack};
use crate::domain::facts::DeviceFacts;
use crate::domain::tags;
use crate::domain::trouble::Trouble;

/// A device of a tenant.
pub type DeviceOf = (TenantId, DeviceId);
/// What came of a command on a device.
pub type Outcome = Result<Executed<Enrollment>, ExecuteError<Error>>;

/// How a command is carried out.
struct Call {
    request: RequestId,
    context: Context,
    validate_only: bool,
    /// Whether the device gives up its seat.
    withdrawn: bool,
}

impl Commands {
    /// Notes what a device says of itself, and decides about it anew when that changed.
    ///
    /// # Errors
    /// Refused when the device was never onboarded or is gone, or when what it says is out of bounds.
    pub async fn report_facts(&self, at: DeviceOf, facts: DeviceFacts, troubles: Vec<Trouble>) -> Outcome {
        let asked = Asked::new(Actor::device(at.1), RequestId::generate());
        self.ask(at, &asked, &Command::ReportFacts { facts, troubles }).await
    }

    /// Notes that a device took back what was enforced.
    ///
    /// # Errors
    /// Refused when the device was never onboarded, or nobody asked for its offboarding.
    pub async fn confirm_offboarding(&self, at: DeviceOf, taken_back: TakenBack) -> Outcome {
        let asked = Asked::new(Actor::device(at.1), RequestId::generate());
        self.ask(at, &asked, &Command::ConfirmOffboarding(taken_back)).await
    }

    /// Sets tags of a device and takes tags off it, and decides about it anew.
    ///
    /// # Errors
    /// Refused when the device was never onboarded or is gone, or the tags are out of bounds.
    pub async fn tag(&self, asked: &Asked, at: DeviceOf, add: Vec<String>, remove: Vec<String>) -> Outcome {
        let command = Command::Tag { add: tags::sorted(add), remove: tags::sorted(remove) };
        self.ask(at, asked, &command).await
    }

    /// Asks a device to take back what was enforced; the order is good for `ttl`. Asking again while it is good changes
    /// nothing.
    ///
    /// # Errors
    /// Refused when the device was never onboarded or is deleted.
    pub async fn offboard(&self, asked: &Asked, at: DeviceOf, ttl: Duration) -> Outcome {
        let now = self.clock.now();
        self.ask(at, asked, &Command::RequestOffboarding { expire_time: now.plus(ttl), now }).await
    }

    /// Deletes a device.
    ///
    /// # Errors
    /// Refused when the device was never onboarded.
    pub async fn delete(&self, asked: &Asked, at: DeviceOf) -> Outcome {
        self.ask(at, asked, &Command::Delete).await
    }

    /// Lets a device that is gone onboard again.
    ///
    /// # Errors
    /// Refused when the device was never onboarded.
    pub async fn allow_reenrollment(&self, asked: &Asked, at: DeviceOf) -> Outcome {
        self.ask(at, asked, &Command::AllowReenrollment).await
    }

    /// Notes that trust in a device's key is established, and decides about it anew. May be said any number of times, by
    /// the call that onboards and by the process manager.
    ///
    /// # Errors
    /// Refused when the device was never onboarded.
    pub async fn succeed(&self, at: DeviceOf, key_digest: Digest, spiffe_id: &str) -> Outcome {
        let stream = enrollment_stream(at.0, at.1);
        let (known, _) = self.enrollments.load(&self.log, stream).await?;
        let onboarded = known.onboarded().ok_or(ExecuteError::Refused(Error::Unknown))?.request;
        let context = Context {
            causation_id: Some(event_id(stream, onboarded, 0)),
            ..self.context(Actor::service(Service::Enroll), onboarded)
        };
        let request = RequestId::from_uuid(derive("enrollment-succeeded", &[onboarded.as_bytes()]));
        let command = Command::Succeed { key_digest, spiffe_id: spiffe_id.into() };
        self.call(at, Call { request, context, validate_only: false, withdrawn: false }, &command).await
    }

    /// Decides about a device anew because of an event. `withdrawn` takes its seat away.
    ///
    /// # Errors
    /// Refused when the device was never onboarded.
    pub async fn redecide(&self, at: DeviceOf, cause: Option<EventId>, withdrawn: bool) -> Outcome {
        self.react(at, cause, "redecide", withdrawn, &Command::Redecide).await
    }

    /// Does what an event of identity asks: deletes a device, or merges it into another.
    ///
    /// # Errors
    /// Refused when the device was never onboarded.
    pub async fn remove(&self, at: DeviceOf, cause: EventId, into: Option<DeviceId>) -> Outcome {
        let command = into.map_or(Command::Delete, |into| Command::Merge { into });
        self.react(at, Some(cause), "remove", false, &command).await
    }

    /// Reacts to an event. The version keeps two reactions to one event apart; a repeat finds nothing to do.
    async fn react(
        &self,
        at: DeviceOf,
        cause: Option<EventId>,
        reaction: &str,
        withdrawn: bool,
        command: &Command,
    ) -> Outcome {
        let stream = enrollment_stream(at.0, at.1);
        let (_, version) = self.enrollments.load(&self.log, stream).await?;
        let source = cause.map(|cause| *cause.as_bytes()).unwrap_or_default();
        let salt = [&source[..], at.1.as_bytes(), &version.0.to_be_bytes()];
        let request = RequestId::from_uuid(derive(reaction, &salt));
        let context = self.context(Actor::service(Service::Enroll), request);
        let context = Context { causation_id: cause, ..context };
        self.call(at, Call { request, context, validate_only: false, withdrawn }, command).await
    }

    async fn ask(&self, at: DeviceOf, asked: &Asked, command: &Command) -> Outcome {
        let Asked { actor, request, validate_only } = asked.clone();
        let context = self.context(actor, request);
        self.call(at, Call { request, context, validate_only, withdrawn: false }, command).await
    }

    async fn call(&self, at: DeviceOf, call: Call, command: &Command) -> Outcome {
        let Call { request, context, validate_only, withdrawn } = call;
        let rules = self.rules(at.0).await?;
        let ticket = self.ticket(at, &rules, validate_only);
        let correlation = RequestId::from_uuid(context.correlation_id);
        let decide = |state: &Enrollment| {
            if withdrawn {
                return state.decide(command, &rules.with(Seat::Withdrawn, correlation));
            }
            seated(
                &ticket,
                state,
                |seat| state.decide(command, &rules.with(seat, correlation)),
                Vec::as_slice,
            )
        };
        let stream = enrollment_stream(at.0, at.1);
        if validate_only {
            return self.enrollments.rehearse(&self.log, stream, decide).await;
        }
        let done = self.enrollments.execute(&self.log, stream, request, &context, decide).await?;
        ticket.settle(done.state.takes_seat(), done.position);
        Ok(done)
    }

    pub(super) fn ticket(
        &self,
        (tenant, device): DeviceOf,
        rules: &TenantRules,
        rehearsal: bool,
    ) -> Ticket<'_> {
        Ticket {
            seats: &self.seats,
            sight: &self.sight,
            tenant,
            device,
            limit: rules.scope.entitlement.seats,
            rehearsal,
            taken: AtomicBool::new(false),
        }
    }
}

impl TenantRules {
    pub(super) fn with(&self, seat: Seat, request: RequestId) -> Rules<'_> {
        Rules { scope: &self.scope, scope_version: self.version, seat, request }
    }
}

/// Decides as if there were a seat, and once more without one when the device needs one and there is none.
pub(super) fn seated<T, E>(
    ticket: &Ticket<'_>,
    state: &Enrollment,
    decide: impl Fn(Seat) -> Result<T, E>,
    events: impl Fn(&T) -> &[Event],
) -> Result<T, E> {
    let decided = decide(Seat::Free)?;
    let needs_one = !state.takes_seat() && state.after(events(&decided)).takes_seat();
    if needs_one && !ticket.take() { decide(Seat::Taken) } else { Ok(decided) }
}
