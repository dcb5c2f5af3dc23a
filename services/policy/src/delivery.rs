//! Policies on their way: what check-ins were answered with, and what devices said of it, in memory until the log is told
//! about every second. A restart forgets it; what devices read back is told by the report service.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use muster_eventlog::command::{append_surely, prepare};
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, AppendError, Context};
use muster_types::id::derive;
use muster_types::{Aggregate, Clock, Digest, RequestId, Service, StreamId, TenantId, Timestamp, Version};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::delivery::{Event, Memory, Step, events};
use crate::metrics::PolicyMetrics;
use crate::wire::Delivery;

/// How often the log is told.
pub const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often an event is appended anew when another process was first.
const CONFLICTS_MAX: u32 = 16;

/// What was delivered. Cheap to clone. Asked only when a policy is signed, or a device says more than that all is well.
#[derive(Debug, Clone, Default)]
pub struct Deliveries(Arc<Mutex<Memory>>);

impl Deliveries {
    /// Notes how far a policy is on a device.
    pub fn note(&self, ordinal: u32, etag: &Digest, step: Step, now: Timestamp) {
        self.0.lock().note(ordinal, etag, step, now);
    }

    fn take(&self) -> Vec<Event> {
        let (delivered, first) = self.0.lock().take();
        events(delivered, first)
    }

    fn put_back(&self, event: &Event) {
        let mut memory = self.0.lock();
        event.delivered.iter().for_each(|delivered| memory.put_back(delivered, event.first));
    }
}

/// Tells the log from time to time what was delivered.
pub struct Telling {
    /// What was delivered.
    pub deliveries: Deliveries,
    /// The tenant served.
    pub tenant: TenantId,
    /// Where it is told.
    pub log: SharedLog,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Numbers.
    pub metrics: PolicyMetrics,
}

impl Telling {
    /// Tells until the process stops, and then once more.
    pub async fn run(self, stopping: CancellationToken) {
        let mut version = Version::NONE;
        loop {
            let last = tokio::select! {
                () = stopping.cancelled() => true,
                () = tokio::time::sleep(TELL_EVERY) => false,
            };
            self.tell(&mut version).await;
            if last {
                return;
            }
        }
    }

    /// Appends what was delivered; nothing when nothing was.
    async fn tell(&self, version: &mut Version) {
        for event in self.deliveries.take() {
            let devices = event.delivered.iter().map(|delivered| delivered.devices.len()).sum();
            if let Err(error) = self.append(&event, version).await {
                tracing::warn!(%error, devices, "what was delivered is told later");
                self.deliveries.put_back(&event);
            } else {
                self.metrics.deliveries_told(devices);
            }
        }
    }

    /// Appends one event. The stream is long and never read: its version is learned from conflicts.
    async fn append(&self, event: &Event, version: &mut Version) -> Result<(), AppendError> {
        let request = RequestId::generate();
        let context = Context {
            actor: Actor::service(Service::Policy),
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: None,
        };
        let (stream, events) = (stream(self.tenant), std::slice::from_ref(event));
        let mut conflicts = 0;
        loop {
            let append = prepare::<Delivery>(stream, *version, request, &context, events);
            match append_surely(&self.log, vec![append]).await {
                Ok(_) => {
                    *version = version.next();
                    return Ok(());
                }
                Err(AppendError::Conflict { found, .. }) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    *version = found;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where it is told what went out to a tenant's devices.
#[must_use]
pub fn stream(tenant: TenantId) -> StreamId {
    StreamId::new(tenant, Aggregate::Delivery, derive("delivery", &[tenant.as_str().as_bytes()]))
}
