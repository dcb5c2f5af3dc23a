//! What devices call: check-in and watch.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use muster_errors::{ErrorCode, Fault};
use muster_proto::convert::duration;
use muster_proto::policy::v1 as pb;
use muster_proto::policy::v1::device_policy_service_server::DevicePolicyService;
use muster_runtime::caller;
use muster_types::{DeviceId, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Extensions, Request, Response, Status};
use tracing::{debug, warn};

use super::{Grpc, convert};
use crate::checkin::{Directive, Order, Outcome, ToSign, next_check_in, renewal_due, sign, sign_order};
use crate::domain::session::Run;
use crate::error::status;
use crate::queries::{Answer, Has};
use crate::watch::{Hint, Watch, life};

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
    fn needs(&self, extensions: &Extensions, facts_wanted: bool, now: Timestamp) -> Vec<i32> {
        let due = caller::certificate(extensions)
            .is_some_and(|certificate| renewal_due(certificate.issued(), certificate.not_after, now));
        let facts = facts_wanted.then_some(pb::Need::FullFacts);
        facts.into_iter().chain(due.then_some(pb::Need::Renewal)).map(i32::from).collect()
    }

    /// Notes who calls, and tells of two machines that take turns; beside the call, which does not wait for the log.
    fn attend(&self, device: DeviceId, ordinal: u32, run: Run, quarantined: bool) {
        let Some(boots) = self.attendance.note(ordinal, run, quarantined) else { return };
        warn!(%device, "two machines take turns in using one identity");
        self.metrics.duplicate();
        let (commands, attendance) = (self.commands.clone(), self.attendance.clone());
        self.tasks.spawn("duplicate", async move {
            if let Err(fault) = commands.observed_turns(device, boots).await {
                warn!(%device, error = %fault, "two machines that take turns are told of later");
                attendance.untold(ordinal);
            }
        });
    }

    fn order(&self, device: DeviceId, directive: &Directive, now: Timestamp) -> Option<pb::SignedPolicy> {
        let Directive::Decommission { expire, kept } = directive else { return None };
        let order = Order { tenant: self.tenant, device, expire: *expire, kept, now };
        Some(sign_order(&self.signer, order))
    }

    fn outcome(
        &self,
        device: DeviceId,
        outcome: Outcome,
        applied_version: u64,
        now: Timestamp,
    ) -> pb::check_in_response::Outcome {
        match outcome {
            Outcome::NotModified => {
                self.metrics.not_modified();
                pb::check_in_response::Outcome::NotModified(pb::NotModified {})
            }
            Outcome::Policy { effective, version, renewed } => {
                if applied_version > version {
                    warn!(%device, applied_version, version, "the device has a newer policy than this replica can sign");
                }
                self.metrics.policy_sent(renewed);
                let policy = ToSign { tenant: self.tenant, device, effective: &effective, version, now };
                pb::check_in_response::Outcome::Policy(sign(&self.signer, policy))
            }
        }
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
            received_etag: _,
            facts_digest,
            report_digest: _,
            apply_state,
            applied_version,
            boot_id,
            policy_keys_digest,
        } = request;
        let policy_keys = self.policy_keys.news(&policy_keys_digest);
        // One who learns other keys gets the policy anew, by them.
        let etag: &[u8] = if policy_keys.is_empty() { &applied_etag } else { &[] };
        let has = Has { etag, facts_digest: &facts_digest, now };
        let Answer { outcome, directive, facts_wanted, ordinal } =
            self.answer(device, has).await.map_err(status)?;
        if let Some(ordinal) = ordinal {
            let run = Run::new(&boot_id, &session_id, sequence);
            self.attend(device, ordinal, run, directive == Directive::Quarantine);
        }
        debug!(%device, sequence, apply_state, applied_version, "check-in");
        let (told, code) = directive.told();
        Ok(Response::new(pb::CheckInResponse {
            server_time: None,
            outcome: Some(self.outcome(device, outcome, applied_version, now)),
            next_check_in: Some(duration(next_check_in(device, sequence))),
            needs: self.needs(&extensions, facts_wanted, now),
            directive: told.into(),
            directive_code: code.map_or_else(String::new, |code| code.as_str().to_owned()),
            offboarding_order: self.order(device, &directive, now),
            policy_keys,
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let device = self.device(&request)?;
        let pb::WatchRequest { applied_etag } = request.into_inner();
        self.queries.known(device).await.map_err(status)?;
        let too_many =
            || Fault::new(ErrorCode::Overloaded, "too many watches are open; check in without one");
        let watch = self.watches.open(device).ok_or_else(|| status(too_many()))?;
        // Looked up after the watch was opened: what changes from here on is hinted.
        let leaving = self.queries.is_leaving(device, self.clock.now());
        let etag = self.queries.etag(device).filter(|etag| leaving || applied_etag != *etag);
        let first = etag.map(|etag| Hint { etag, spread: Duration::ZERO, traceparent: None });
        let watching = Watching {
            first,
            watch,
            end: Instant::now() + life(device),
            stopping: self.tasks.stopping().clone(),
        };
        Ok(Response::new(Box::pin(watching.stream())))
    }
}

/// A stream of hints.
struct Watching {
    first: Option<Hint>,
    watch: Watch,
    end: Instant,
    stopping: CancellationToken,
}

impl Watching {
    fn stream(self) -> impl Stream<Item = Result<pb::WatchResponse, Status>> + Send {
        futures::stream::unfold(self, |mut watching| async move {
            let hint = watching.next().await?;
            Some((Ok(convert::hint(hint)), watching))
        })
    }

    async fn next(&mut self) -> Option<Hint> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        tokio::select! {
            hint = self.watch.next() => hint,
            () = tokio::time::sleep_until(self.end) => None,
            () = self.stopping.cancelled() => None,
        }
    }
}
