//! Identity's facts → this service's: `TrustEstablished` → `EnrollmentSucceeded`, `RegistrationRemoved` →
//! `DeviceDeleted` or `DeviceMerged`.
//!
//! The call that onboards says itself that trust is established once it has the certificate; when its process dies in
//! between, this does. Both say it in the same way. Removals that this service asked for come back from identity and
//! find the device gone.

use std::sync::Arc;

use muster_errors::Fault;
use muster_eventlog::command::ExecuteError;
use muster_eventlog::kv::Kv;
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Envelope, react};
use muster_proto::identity::v1::{RegistrationRemoved, RemovalReason, TrustEstablished};
use muster_types::{DeviceId, Digest, Service};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::commands::{Commands, DeviceOf};
use crate::wire;

/// Whose checkpoint it is, in the store.
const NAME: &str = "enrollments";

/// What is to be done about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Complete its enrollment, unless it is.
    Succeed {
        /// SHA-256 of the public key that is trusted.
        key_digest: Digest,
        /// SPIFFE ID of its certificate.
        spiffe_id: String,
    },
    /// Delete it.
    Delete,
    /// Note that it is another one.
    Merge {
        /// The device that lives on.
        into: DeviceId,
    },
}

/// What an event of identity asks of this service. Pure.
///
/// # Errors
/// What is wrong with the event.
pub fn asks(event: &Envelope) -> Result<Option<Task>, String> {
    match event.kind.as_str() {
        wire::kind::TRUST_ESTABLISHED => {
            let TrustEstablished { spiffe_id, key_digest, .. } = wire::decoded(&event.payload)?;
            let key_digest = wire::digest(&key_digest, "key_digest")?;
            Ok(Some(Task::Succeed { key_digest, spiffe_id }))
        }
        wire::kind::REGISTRATION_REMOVED => {
            let removed: RegistrationRemoved = wire::decoded(&event.payload)?;
            Ok(match removed.reason() {
                RemovalReason::Deleted => Some(Task::Delete),
                RemovalReason::Merged => {
                    let into = DeviceId::from_slice(&removed.into_device_id).map_err(|e| e.to_string())?;
                    Some(Task::Merge { into })
                }
                // An offboarding was confirmed here, before identity heard of it.
                RemovalReason::Offboarded | RemovalReason::Unspecified => None,
            })
        }
        _ => Ok(None),
    }
}

/// Follows identity's log and does what it asks, until the process stops.
pub async fn run(commands: Arc<Commands>, log: SharedLog, kv: Arc<dyn Kv>, stopping: CancellationToken) {
    let react = |event| react(commands.clone(), event);
    react::follow(log, kv, NAME, &[Service::Identity], react, stopping.cancelled()).await;
}

/// Fails when it is worth another try: the log does not answer.
async fn react(commands: Arc<Commands>, event: Envelope) -> Result<(), Fault> {
    let task = match asks(&event) {
        Ok(Some(task)) => task,
        Ok(None) => return Ok(()),
        Err(reason) => {
            warn!(position = event.position, reason, "passed over an event of identity that cannot be read");
            return Ok(());
        }
    };
    let at: DeviceOf = (event.stream.tenant, DeviceId::from_uuid(event.stream.id));
    let done = match task {
        Task::Succeed { key_digest, spiffe_id } => commands.succeed(at, key_digest, &spiffe_id).await,
        Task::Delete => commands.remove(at, event.event_id, None).await,
        Task::Merge { into } => commands.remove(at, event.event_id, Some(into)).await,
    };
    match done {
        Ok(_) => Ok(()),
        Err(ExecuteError::Refused(refusal)) => {
            warn!(device = %at.1, %refusal, "passed over a fact of identity about a device that never onboarded");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use muster_eventlog::EventType;
    use muster_testkit::wire::envelope;
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;
    use crate::domain::enrollment::Enrollment;

    fn removed(reason: RemovalReason, into_device_id: Vec<u8>) -> Envelope {
        let removed = RegistrationRemoved { reason: reason.into(), into_device_id };
        envelope::<Enrollment>(EventType::new(wire::kind::REGISTRATION_REMOVED), removed.encode_to_vec())
    }

    #[test]
    fn trust_completes_and_removals_remove() {
        let trust = TrustEstablished { spiffe_id: "x".into(), key_digest: vec![1; 32], ..Default::default() };
        let trust =
            envelope::<Enrollment>(EventType::new(wire::kind::TRUST_ESTABLISHED), trust.encode_to_vec());
        let succeed = Task::Succeed { key_digest: [1; 32], spiffe_id: "x".into() };
        assert_eq!(asks(&trust), Ok(Some(succeed)));
        assert_eq!(asks(&removed(RemovalReason::Deleted, vec![])), Ok(Some(Task::Delete)));
        assert_eq!(asks(&removed(RemovalReason::Offboarded, vec![])), Ok(None));
        let into = DeviceId::from_uuid(Uuid::from_u128(3));
        let merged = removed(RemovalReason::Merged, into.as_bytes().to_vec());
        assert_eq!(asks(&merged), Ok(Some(Task::Merge { into })));
    }

    #[test]
    fn what_cannot_be_read_is_told_and_what_is_another_matter_is_passed_over() {
        assert!(asks(&removed(RemovalReason::Merged, vec![1])).is_err());
        let other = envelope::<Enrollment>(EventType::new("muster.identity.v1.TrustRenewed"), vec![]);
        assert_eq!(asks(&other), Ok(None));
    }
}
