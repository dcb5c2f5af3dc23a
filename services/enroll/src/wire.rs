//! Domain events ↔ the payloads of the log (`events.proto`), and old forms made new on reading.
//!
//! A payload does not repeat what its envelope says: the moment of an event, the request that led to it.

use std::collections::BTreeSet;

use muster_eventlog::EventType;
use muster_proto::enroll::v1 as pb;
use muster_types::Digest;

use crate::domain::facts::Platform;
use crate::domain::tags;

mod enrollment;
mod facts;
mod scope;
mod settings;
mod token;

pub use enrollment::troubles;
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
    /// A device that was refused may be enrolled.
    pub const ENROLLMENT_PERMITTED: &str = "muster.enroll.v1.EnrollmentPermitted";
    /// Who manages a device changed.
    pub const AUTHORITY_CHANGED: &str = "muster.enroll.v1.ManagementAuthorityChanged";
    /// A device's tags changed.
    pub const DEVICE_TAGGED: &str = "muster.enroll.v1.DeviceTagged";
    /// A device told what had kept it away.
    pub const TROUBLE_REPORTED: &str = "muster.enroll.v1.DeviceTroubleReported";
    /// A device's offboarding was asked for.
    pub const OFFBOARDING_REQUESTED: &str = "muster.enroll.v1.DeviceOffboardingRequested";
    /// A device confirmed its offboarding.
    pub const DEVICE_OFFBOARDED: &str = "muster.enroll.v1.DeviceOffboarded";
    /// A device was deleted.
    pub const DEVICE_DELETED: &str = "muster.enroll.v1.DeviceDeleted";
    /// A device was merged into another.
    pub const DEVICE_MERGED: &str = "muster.enroll.v1.DeviceMerged";
    /// A device that is gone may come back.
    pub const REENROLLMENT_ALLOWED: &str = "muster.enroll.v1.ReenrollmentAllowed";
    /// A tenant's enforcement scope changed.
    pub const SCOPE_CHANGED: &str = "muster.enroll.v1.EnforcementScopeChanged";
    /// A device's registration was removed in identity.
    pub const REGISTRATION_REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
    /// Identity trusts a device.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
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
    pub(crate) const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
}
