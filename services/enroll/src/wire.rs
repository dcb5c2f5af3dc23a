//! Domain events ↔ the payloads of the log (`events.proto`), and old forms made new on reading.
//!
//! A payload does not repeat what its envelope says: the moment of an event, the request that led to it.

use std::collections::BTreeSet;

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::required;
use muster_proto::enroll::v1 as pb;
use muster_types::{Aggregate, Digest, RequestId, TokenId};

use crate::domain::enrollment::{self, Enrollment, ManagedBy};
use crate::domain::facts::{DeviceFacts, Platform};
use crate::domain::tags;

mod facts;
mod scope;
mod token;

pub use facts::UnreadableFacts;
pub use scope::{UnreadableScope, scope_over};

/// Platforms that can be managed.
const PLATFORMS: [Platform; 3] = [Platform::Windows, Platform::Linux, Platform::Macos];

/// Full names of the payloads.
pub mod kind {
    /// An onboarding token was made.
    pub const TOKEN_ISSUED: &str = "muster.enroll.v1.OnboardingTokenIssued";
    /// A device came in with a token.
    pub const TOKEN_USED: &str = "muster.enroll.v1.OnboardingTokenUsed";
    /// A token was revoked.
    pub const TOKEN_REVOKED: &str = "muster.enroll.v1.OnboardingTokenRevoked";
    /// A device was onboarded.
    pub const DEVICE_ONBOARDED: &str = "muster.enroll.v1.DeviceOnboarded";
    /// A device's facts changed.
    pub const FACTS_CHANGED: &str = "muster.enroll.v1.DeviceFactsChanged";
    /// A device is enrolled.
    pub const ENROLLMENT_SUCCEEDED: &str = "muster.enroll.v1.EnrollmentSucceeded";
    /// A device may not be enrolled.
    pub const ENROLLMENT_REFUSED: &str = "muster.enroll.v1.EnrollmentRefused";
    /// Identity trusts a device.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
}

impl State for Enrollment {
    const AGGREGATE: Aggregate = Aggregate::Enrollment;
    type Event = enrollment::Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        match event {
            enrollment::Event::Onboarded { token, key_digest, facts, request: _ } => encoded(
                kind::DEVICE_ONBOARDED,
                &pb::DeviceOnboarded {
                    onboarding_token_id: token.as_bytes().to_vec(),
                    key_digest: key_digest.to_vec(),
                    facts: Some(facts.clone().into()),
                    facts_digest: facts.digest().to_vec(),
                },
            ),
            enrollment::Event::FactsChanged { facts } => encoded(
                kind::FACTS_CHANGED,
                &pb::DeviceFactsChanged {
                    facts: Some(facts.clone().into()),
                    facts_digest: facts.digest().to_vec(),
                },
            ),
            enrollment::Event::Succeeded { spiffe_id, managed_by } => encoded(
                kind::ENROLLMENT_SUCCEEDED,
                &pb::EnrollmentSucceeded {
                    spiffe_id: spiffe_id.clone(),
                    managed_by: pb::ManagedBy::from(*managed_by).into(),
                    ..Default::default()
                },
            ),
            enrollment::Event::Refused { reason, message } => encoded(
                kind::ENROLLMENT_REFUSED,
                &pb::EnrollmentRefused {
                    reason: reason.clone(),
                    message: message.clone(),
                    ..Default::default()
                },
            ),
        }
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        let payload = &envelope.payload[..];
        Ok(Some(match envelope.kind.as_str() {
            kind::DEVICE_ONBOARDED => {
                let pb::DeviceOnboarded { onboarding_token_id, key_digest, facts, facts_digest: _ } =
                    decoded(payload)?;
                enrollment::Event::Onboarded {
                    token: TokenId::from_slice(&onboarding_token_id).map_err(text)?,
                    key_digest: digest(&key_digest, "key_digest")?,
                    facts: device_facts(facts)?,
                    request: RequestId::from_uuid(envelope.context.correlation_id),
                }
            }
            kind::FACTS_CHANGED => {
                let pb::DeviceFactsChanged { facts, facts_digest: _ } = decoded(payload)?;
                enrollment::Event::FactsChanged { facts: device_facts(facts)? }
            }
            kind::ENROLLMENT_SUCCEEDED => {
                let message: pb::EnrollmentSucceeded = decoded(payload)?;
                let managed_by = message.managed_by();
                let pb::EnrollmentSucceeded { spiffe_id, managed_by: _, .. } = message;
                enrollment::Event::Succeeded { spiffe_id, managed_by: managed_by.try_into().map_err(text)? }
            }
            kind::ENROLLMENT_REFUSED => {
                let pb::EnrollmentRefused { reason, message, .. } = decoded(payload)?;
                enrollment::Event::Refused { reason, message }
            }
            _ => return Ok(None),
        }))
    }
}

impl From<ManagedBy> for pb::ManagedBy {
    fn from(managed_by: ManagedBy) -> Self {
        match managed_by {
            ManagedBy::Muster => Self::Muster,
            ManagedBy::Mdm => Self::Mdm,
            ManagedBy::ConfigMgr => Self::ConfigMgr,
            ManagedBy::Nobody => Self::Nobody,
        }
    }
}

impl TryFrom<pb::ManagedBy> for ManagedBy {
    type Error = &'static str;

    fn try_from(managed_by: pb::ManagedBy) -> Result<Self, Self::Error> {
        match managed_by {
            pb::ManagedBy::Unspecified => Err("managed_by: must be set"),
            pb::ManagedBy::Muster => Ok(Self::Muster),
            pb::ManagedBy::Mdm => Ok(Self::Mdm),
            pb::ManagedBy::ConfigMgr => Ok(Self::ConfigMgr),
            pb::ManagedBy::Nobody => Ok(Self::Nobody),
        }
    }
}

/// Reads the payload of an event.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decoded<M: prost::Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(text)
}

/// Reads a SHA-256 digest.
///
/// # Errors
/// Names the field that is none.
pub fn digest(bytes: &[u8], field: &str) -> Result<Digest, String> {
    bytes.try_into().map_err(|_| format!("{field}: expected 32 bytes, found {}", bytes.len()))
}

fn encoded(kind: &'static str, message: &impl prost::Message) -> (EventType, Vec<u8>) {
    (EventType::new(kind), message.encode_to_vec())
}

fn device_facts(facts: Option<pb::DeviceFacts>) -> Result<DeviceFacts, String> {
    required(facts, "facts").map_err(text)?.try_into().map_err(text)
}

fn texts(tags: &[Box<str>]) -> Vec<String> {
    tags.iter().map(|tag| tag.clone().into_string()).collect()
}

/// Tags as the domain holds them.
#[must_use]
pub fn tags(tags: Vec<String>) -> Vec<Box<str>> {
    tags::sorted(tags)
}

/// Platforms by their numbers in the contract, sorted, each once.
///
/// # Errors
/// Names the first that cannot be managed.
pub fn platforms(numbers: &[i32]) -> Result<Vec<Platform>, UnreadableFacts> {
    let known = |number| PLATFORMS.into_iter().find(|it| i32::from(pb::Platform::from(*it)) == number);
    let numbers: BTreeSet<i32> = numbers.iter().copied().collect();
    numbers.into_iter().map(|it| known(it).ok_or(UnreadableFacts::Platform(it))).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "takes what `map_err` gives")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use muster_testkit::wire::{REQUEST, envelope, round_trips, samples_decode};
    use uuid::Uuid;

    use super::*;
    use crate::domain::facts::tests::the_first_linux_device as a_linux_device;

    pub(crate) const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

    fn enrollment_events() -> Vec<enrollment::Event> {
        vec![
            enrollment::Event::Onboarded {
                token: TokenId::from_uuid(Uuid::from_u128(2)),
                key_digest: [4; 32],
                facts: a_linux_device(),
                request: RequestId::from_uuid(REQUEST),
            },
            enrollment::Event::FactsChanged { facts: a_linux_device() },
            enrollment::Event::Succeeded {
                spiffe_id: "spiffe://muster.local/tenant/default/device/x".into(),
                managed_by: ManagedBy::Muster,
            },
            enrollment::Event::Refused {
                reason: "PLATFORM_UNSUPPORTED".into(),
                message: "platform 9 is not one that can be managed".into(),
            },
        ]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<Enrollment>(enrollment_events());
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<Enrollment>(GOLDEN, enrollment_events());
    }

    #[test]
    fn a_type_of_another_version_is_skipped() {
        let unknown = envelope::<Enrollment>(EventType::new("muster.enroll.v1.DeviceTagged"), vec![]);
        assert_eq!(Enrollment::decode(&unknown), Ok(None));
    }

    #[test]
    fn a_damaged_payload_is_told() {
        let damaged = envelope::<Enrollment>(EventType::new(kind::DEVICE_ONBOARDED), vec![0xff]);
        assert!(Enrollment::decode(&damaged).is_err());
    }
}
