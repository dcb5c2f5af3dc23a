//! What devices call: check-in and watch.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use muster_errors::{ErrorCode, Fault};
use muster_proto::convert::{duration, timestamp};
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::check_in_response::Outcome as CheckedIn;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyService;
use muster_runtime::caller;
use muster_types::{DeviceId, Timestamp};
use tokio::time::Sleep;
use tonic::{Extensions, Request, Response, Status};
use tracing::{debug, warn};

use super::{Grpc, convert};
use crate::attendance::Noted;
use crate::checkin::{Call, Directive, Order, Outcome, ToSign, next_check_in, renewal_due, sign_order};
use crate::domain::delivery::Step;
use crate::domain::session::Run;
use crate::error::status;
use crate::queries::{Answer, Has};
use crate::watch::{Hint, Next, Watch};

impl Grpc {
    /// The device that calls, of the tenant served.
    fn device<T>(&self, request: &Request<T>) -> Result<DeviceId, Status> {
        let (tenant, device) = caller::device(request)?;
        if tenant != self.tenant {
            let message = format!("this server serves the tenant {}", self.tenant);
            return Err(Fault::new(ErrorCode::PermissionDenied, message).into());
        }
        self.queries.ready()?;
        Ok(device)
    }

    async fn answer(&self, device: DeviceId, has: Has<'_>) -> Result<Answer, Fault> {
        if let Some(answer) = self.queries.check_in(device, has) {
            return Ok(answer);
        }
        self.queries.known(device).await?;
        let unknown = || Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}"));
        self.queries.check_in(device, has).ok_or_else(unknown)
    }

    /// What the server would like to get.
    fn needs(&self, extensions: &Extensions, facts: bool, report: bool, now: Timestamp) -> Vec<i32> {
        let renewal = caller::certificate(extensions)
            .is_some_and(|certificate| renewal_due(certificate.issued(), certificate.not_after, now));
        let needs =
            [(facts, pb::Need::FullFacts), (report, pb::Need::FullReport), (renewal, pb::Need::Renewal)];
        needs.into_iter().filter(|(wanted, _)| *wanted).map(|(_, need)| need.into()).collect()
    }

    /// Notes who calls, and tells of two machines that take turns; beside the call, which does not wait for the log.
    fn attend(&self, device: DeviceId, ordinal: u32, run: Run, version: u64, quarantined: bool) -> Noted {
        let noted = self.attendance.note(ordinal, run, version, quarantined);
        let Some(boots) = noted.turns else { return noted };
        warn!(%device, "two machines take turns in using one identity");
        self.metrics.duplicate();
        let (commands, attendance) = (self.commands.clone(), self.attendance.clone());
        self.tasks.spawn("duplicate", async move {
            if let Err(fault) = commands.observed_turns(device, boots).await {
                warn!(%device, error = %fault, "two machines that take turns are told of later");
                attendance.untold(ordinal);
            }
        });
        noted
    }

    fn order(&self, device: DeviceId, directive: &Directive, now: Timestamp) -> Option<pb::SignedPolicy> {
        let Directive::Decommission { expire, kept } = directive else { return None };
        let order = Order { tenant: self.tenant, device, expire: *expire, kept, now };
        Some(sign_order(&self.signer, order))
    }

    fn outcome(&self, device: DeviceId, answer: Outcome, ordinal: Option<u32>, call: &Said) -> CheckedIn {
        let Outcome::Policy { effective, version, why } = answer else {
            self.metrics.not_modified();
            return CheckedIn::NotModified(pb::NotModified {});
        };
        let Said { applied_version, life, now } = *call;
        if applied_version > version {
            warn!(%device, applied_version, version, "the device has a newer policy than this replica can sign");
        }
        self.metrics.policy_sent(why);
        if let Some(ordinal) = ordinal {
            self.attendance.signed(ordinal, version);
            self.deliveries.note(ordinal, &effective.etag, Step::Sent, now);
        }
        let policy = ToSign { tenant: self.tenant, device, effective: &effective, version, now, life };
        CheckedIn::Policy(self.documents.sign(&self.signer, policy))
    }
}

/// What a check-in says and finds, as far as the outcome depends on it.
#[derive(Debug, Clone, Copy)]
struct Said {
    applied_version: u64,
    life: Duration,
    now: Timestamp,
}

/// What a device says of a policy that is not in force. What is, it reads back and reports.
fn said(apply_state: i32) -> Option<Step> {
    match pb::ApplyState::try_from(apply_state).unwrap_or_default() {
        pb::ApplyState::Applying => Some(Step::Applying),
        pb::ApplyState::Refused => Some(Step::Refused),
        pb::ApplyState::Unspecified | pb::ApplyState::Applied | pb::ApplyState::Failed => None,
    }
}

#[tonic::async_trait]
impl DevicePolicyService for Grpc {
    async fn check_in(
        &self,
        request: Request<pb::CheckInRequest>,
    ) -> Result<Response<pb::CheckInResponse>, Status> {
        let device = self.device(&request)?;
        let now = self.clock.now();
        let (_, extensions, request) = request.into_parts();
        // What else the device says of itself is for the log line: state is judged by what is in force.
        let pb::CheckInRequest {
            sequence,
            session_id,
            applied_etag,
            received_etag,
            facts_digest,
            report_digest: _,
            apply_state,
            applied_version,
            boot_id,
            policy_keys_digest,
        } = request;
        let policy_keys = self.policy_keys.news(&policy_keys_digest);
        // One who learns other keys gets the policy anew, by them.
        let again = !policy_keys.is_empty();
        let has = Has { etag: &applied_etag, facts_digest: &facts_digest, again, now };
        let mut answer = self.answer(device, has).await.map_err(status)?;
        let mut full_state = false;
        if let Some(ordinal) = answer.ordinal {
            let run = Run::new(&boot_id, &session_id, sequence);
            let quarantined = answer.directive == Directive::Quarantine;
            let noted = self.attend(device, ordinal, run, applied_version, quarantined);
            full_state = noted.full_state;
            if noted.again && answer.outcome == Outcome::NotModified {
                answer = self.answer(device, Has { again: true, ..has }).await.map_err(status)?;
            }
        }
        let Answer { outcome, directive, facts_wanted, ordinal } = answer;
        if let (Outcome::Policy { effective, .. }, Some(ordinal), Some(step)) =
            (&outcome, ordinal, said(apply_state))
        {
            // Of a policy in force, and of one that it should not have any more, it says nothing that matters.
            if received_etag == effective.etag && applied_etag != effective.etag {
                self.deliveries.note(ordinal, &effective.etag, step, now);
            }
        }
        debug!(%device, sequence, apply_state, applied_version, full_state, "check-in");
        let (told, code) = directive.told();
        let settings = self.queries.check_ins().values;
        let call = Call { device, sequence, watched: self.watches.is_open(device), now };
        let said = Said { applied_version, life: settings.policy_life, now };
        Ok(Response::new(pb::CheckInResponse {
            server_time: Some(timestamp(now)),
            outcome: Some(self.outcome(device, outcome, ordinal, &said)),
            next_check_in: Some(duration(next_check_in(call, &settings))),
            needs: self.needs(&extensions, facts_wanted || full_state, full_state, now),
            directive: told.into(),
            directive_code: code.map_or_else(String::new, |code| code.as_str().to_owned()),
            offboarding_order: self.order(device, &directive, now),
            policy_keys,
        }))
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Watching>, Status> {
        let device = self.device(&request)?;
        let pb::WatchRequest { applied_etag } = request.into_inner();
        self.queries.known(device).await.map_err(status)?;
        let too_many =
            || Fault::new(ErrorCode::Overloaded, "too many watches are open; check in without one");
        let ordinal = self.queries.ordinal(device);
        let watch = self.watches.open(device, ordinal).ok_or_else(|| status(too_many()))?;
        // Looked up after the watch was opened: what changes from here on is hinted.
        let leaving = self.queries.is_leaving(device, self.clock.now());
        if let Some(etag) = self.queries.etag(device).filter(|etag| leaving || applied_etag != *etag) {
            self.watches.hint([(device, Hint { etag, spread: Duration::ZERO, traceparent: None })]);
        }
        Ok(Response::new(Watching::new(watch)))
    }
}

/// A stream of hints, and a last word when the service ends it.
#[derive(Debug)]
pub struct Watching {
    watch: Watch,
    end: Pin<Box<Sleep>>,
    /// The last word, which is said next.
    last: Option<Duration>,
    is_over: bool,
}

impl Watching {
    fn new(watch: Watch) -> Self {
        let end = Box::pin(tokio::time::sleep(watch.life()));
        Self { watch, end, last: None, is_over: false }
    }

    /// Ends the stream: the hint that still waits first, if there is one.
    fn ends(&mut self, within: Duration) -> pb::WatchResponse {
        match self.watch.take_waiting(within) {
            Some(hint) => {
                self.last = Some(within);
                convert::hint(hint)
            }
            None => self.ended(within),
        }
    }

    fn ended(&mut self, within: Duration) -> pb::WatchResponse {
        self.is_over = true;
        pb::WatchResponse { reconnect_within: Some(duration(within)), ..Default::default() }
    }
}

impl Stream for Watching {
    type Item = Result<pb::WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(within) = self.last {
            return Poll::Ready(Some(Ok(self.ended(within))));
        }
        let word = match self.watch.poll(context) {
            Poll::Ready(Next::Hint(hint)) => convert::hint(hint),
            Poll::Ready(Next::Drained(within)) => self.ends(within),
            Poll::Ready(Next::TakenOver) => {
                self.is_over = true;
                return Poll::Ready(None);
            }
            Poll::Pending => {
                std::task::ready!(self.end.as_mut().poll(context));
                let within = self.watch.reconnect_within();
                self.ends(within)
            }
        };
        Poll::Ready(Some(Ok(word)))
    }
}
