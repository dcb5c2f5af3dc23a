//! Who matches what a directory told of, looked at again whenever something happens to one of the two.
//!
//! An import and an onboarding that cross each other both look and both may miss the other; of their two events one is the
//! later, and what is done because of it sees both.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::kv::Kv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Envelope, react};
use muster_types::{DeviceId, DirectoryDeviceId, Positions, Service};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::commands::{Commands, Order};
use crate::metrics::IdentityMetrics;
use crate::queries::Queries;
use crate::wire;

/// Whose checkpoint it is, in the store.
const NAME: &str = "directory-matching";

/// What an event is about, when it may change who matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// A device as a directory knows it.
    Directory(DirectoryDeviceId),
}

/// Whose match an event may change. Pure.
#[must_use]
pub fn subject(event: &Envelope) -> Option<Subject> {
    match event.kind.as_str() {
        wire::kind::TRUST_ESTABLISHED
        | wire::kind::REGISTRATION_PROMOTED
        | wire::kind::REGISTRATION_REMOVED => Some(Subject::Device(DeviceId::from_uuid(event.stream.id))),
        wire::kind::DIRECTORY_DEVICE_UPSERTED | wire::kind::DIRECTORY_DEVICE_REMOVED => {
            Some(Subject::Directory(DirectoryDeviceId::from_uuid(event.stream.id)))
        }
        _ => None,
    }
}

/// What matches.
pub struct Matching {
    /// The only writer.
    pub commands: Arc<Commands>,
    /// The only reader.
    pub queries: Queries,
    /// Numbers.
    pub metrics: IdentityMetrics,
}

impl Matching {
    /// Follows the log and matches, until the process stops.
    pub async fn run(self, log: SharedLog, kv: Arc<dyn Kv>, stopping: CancellationToken) {
        let this = &self;
        let sources = &[Service::Identity];
        react::follow(log, kv, NAME, sources, |event| this.handle(event), stopping.cancelled()).await;
    }

    /// Looks again at those whose match an event may change; told again, it changes nothing.
    ///
    /// # Errors
    /// When it is worth another try: the log does not answer, or the views are too far behind.
    pub async fn handle(&self, event: Envelope) -> Result<(), Fault> {
        let Some(subject) = subject(&event) else { return Ok(()) };
        let behind =
            |error: muster_eventlog::project::Behind| Fault::new(ErrorCode::ViewBehind, error.to_string());
        self.queries.reach(&Positions::of(Service::Identity, event.position)).await.map_err(behind)?;
        let tenant = event.stream.tenant;
        let ids: BTreeSet<_> = match subject {
            Subject::Device(device) => self.queries.directory_devices_like_device(tenant, device),
            Subject::Directory(id) => self.queries.directory_devices_like(tenant, id),
        };
        // Nearly always there is nothing to do, and nobody's turn need be waited for.
        let records = self.queries.directory_records(tenant, ids.iter().copied());
        if self.queries.weigh(tenant, &records).iter().all(|weighed| weighed.is_noted()) {
            return Ok(());
        }
        let order = Order::because(&event, NAME);
        let taken = self.commands.match_again(tenant, ids, &order, &self.queries).await?;
        if taken.position.is_some() {
            (0..taken.promoted).for_each(|_| self.metrics.reacted("directory-promoted"));
            info!(promoted = taken.promoted, ambiguous = taken.ambiguous, "matched devices of the directory");
        }
        Ok(())
    }
}
