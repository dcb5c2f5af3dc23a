//! Completes enrollments that the onboarding call left unfinished: identity's `TrustEstablished` →
//! `EnrollmentSucceeded`.
//!
//! The call says so itself once it has the certificate; when its process dies in between, this does. Both say it in
//! the same way, and saying it twice changes nothing.

use std::sync::Arc;

use muster_errors::Fault;
use muster_eventlog::command::ExecuteError;
use muster_eventlog::kv::Kv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Envelope, react};
use muster_proto::identity::v1::TrustEstablished;
use muster_types::{DeviceId, Digest, Service, TenantId};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::commands::Commands;
use crate::wire;

/// Whose checkpoint it is, in the store.
const NAME: &str = "enrollments";

/// An enrollment to complete, unless it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succeed {
    /// The tenant the device is in.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// SHA-256 of the public key that is trusted.
    pub key_digest: Digest,
    /// SPIFFE ID of its certificate.
    pub spiffe_id: String,
}

/// What an event of identity asks of this service. Pure.
///
/// # Errors
/// What is wrong with the event.
pub fn react(event: &Envelope) -> Result<Option<Succeed>, String> {
    if event.kind.as_str() != wire::kind::TRUST_ESTABLISHED {
        return Ok(None);
    }
    let TrustEstablished { kind: _, spiffe_id, key_digest, certificate_serial: _, not_after: _, .. } =
        wire::decoded(&event.payload)?;
    Ok(Some(Succeed {
        tenant: event.stream.tenant,
        device: DeviceId::from_uuid(event.stream.id),
        key_digest: wire::digest(&key_digest, "key_digest")?,
        spiffe_id,
    }))
}

/// Follows identity's log and does what it asks, until the process stops.
pub async fn run(commands: Arc<Commands>, log: SharedLog, kv: Arc<dyn Kv>, stopping: CancellationToken) {
    let complete = |event| complete(commands.clone(), event);
    react::follow(log, kv, NAME, &[Service::Identity], complete, stopping.cancelled()).await;
}

/// Fails when it is worth another try: the log does not answer.
async fn complete(commands: Arc<Commands>, event: Envelope) -> Result<(), Fault> {
    let succeed = match react(&event) {
        Ok(Some(succeed)) => succeed,
        Ok(None) => return Ok(()),
        Err(reason) => {
            warn!(position = event.position, reason, "passed over an event of identity that cannot be read");
            return Ok(());
        }
    };
    let Succeed { tenant, device, key_digest, spiffe_id } = succeed;
    match commands.succeed((tenant, device), key_digest, &spiffe_id).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Refused(refusal)) => {
            warn!(%device, %refusal, "passed over trust in a device that was never onboarded");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
