//! Domain events ↔ the payloads of the log (`events.proto`), and old forms made new on reading.
//!
//! A payload does not repeat what its envelope says: who did it, the moment, the request that led to it.

mod assignment;
mod check_in_settings;
mod delivery;
mod policy;
mod resolution;
mod session;
mod sync;
#[cfg(test)]
mod tests;
mod waiver;

use std::collections::BTreeMap;

use muster_eventlog::{Envelope, EventType};
use muster_proto::policy::v1 as pb;
use muster_types::{Digest, RequestId, SettingId, SettingValue};
use roaring::RoaringBitmap;

use crate::domain::Origin;

pub use check_in_settings::{from_check_in_values, to_check_in_values};
pub use delivery::Delivery;

/// Full names of the payloads: our own, and those of others that the views fold.
pub mod kind {
    /// A policy was made.
    pub const POLICY_CREATED: &str = "muster.policy.v1.PolicyCreated";
    /// A policy was revised.
    pub const POLICY_REVISED: &str = "muster.policy.v1.PolicyRevised";
    /// A policy was deleted.
    pub const POLICY_DELETED: &str = "muster.policy.v1.PolicyDeleted";
    /// A deleted policy was brought back.
    pub const POLICY_UNDELETED: &str = "muster.policy.v1.PolicyUndeleted";
    /// A policy was assigned to a group.
    pub const POLICY_ASSIGNED: &str = "muster.policy.v1.PolicyAssigned";
    /// An assignment was taken back.
    pub const POLICY_UNASSIGNED: &str = "muster.policy.v1.PolicyUnassigned";
    /// Devices were exempted from a setting or a policy.
    pub const WAIVER_GRANTED: &str = "muster.policy.v1.WaiverGranted";
    /// A waiver was ended before its time.
    pub const WAIVER_REVOKED: &str = "muster.policy.v1.WaiverRevoked";
    /// A waiver's time is over.
    pub const WAIVER_EXPIRED: &str = "muster.policy.v1.WaiverExpired";
    /// How devices check in was changed.
    pub const CHECK_IN_SETTINGS_CHANGED: &str = "muster.policy.v1.CheckInSettingsChanged";
    /// A device was asked to check in at once.
    pub const SYNC_REQUESTED: &str = "muster.policy.v1.PolicySyncRequested";
    /// Many devices were asked to check in at once.
    pub const DEVICES_SYNC_REQUESTED: &str = "muster.policy.v1.DevicesSyncRequested";
    /// Two boots of one identity took turns.
    pub const DUPLICATE_SESSIONS: &str = "muster.policy.v1.DuplicateSessionsObserved";
    /// Devices checked in.
    pub const DEVICES_SEEN: &str = "muster.policy.v1.DevicesSeen";
    /// What devices should have changed.
    pub const EFFECTIVE_POLICIES_CHANGED: &str = "muster.policy.v1.EffectivePoliciesChanged";
    /// Policies went out to devices.
    pub const POLICIES_DELIVERED: &str = "muster.policy.v1.PoliciesDelivered";
    /// Enroll: a device came in.
    pub const DEVICE_ONBOARDED: &str = "muster.enroll.v1.DeviceOnboarded";
    /// Enroll: what a device says of itself changed.
    pub const FACTS_CHANGED: &str = "muster.enroll.v1.DeviceFactsChanged";
    /// Enroll: a device is enrolled.
    pub const ENROLLMENT_SUCCEEDED: &str = "muster.enroll.v1.EnrollmentSucceeded";
    /// Enroll: a device may not be managed by this channel.
    pub const ENROLLMENT_REFUSED: &str = "muster.enroll.v1.EnrollmentRefused";
    /// Enroll: a device that was refused may come in.
    pub const ENROLLMENT_PERMITTED: &str = "muster.enroll.v1.EnrollmentPermitted";
    /// Enroll: who manages a device changed.
    pub const AUTHORITY_CHANGED: &str = "muster.enroll.v1.ManagementAuthorityChanged";
    /// Enroll: an admin asked for a device's offboarding.
    pub const OFFBOARDING_REQUESTED: &str = "muster.enroll.v1.DeviceOffboardingRequested";
    /// Enroll: a device confirmed its offboarding.
    pub const DEVICE_OFFBOARDED: &str = "muster.enroll.v1.DeviceOffboarded";
    /// Enroll: a device was deleted.
    pub const DEVICE_DELETED: &str = "muster.enroll.v1.DeviceDeleted";
    /// Enroll: a device turned out to be another one.
    pub const DEVICE_MERGED: &str = "muster.enroll.v1.DeviceMerged";
    /// Enroll: an admin changed who is managed, and by which rules.
    pub const SCOPE_CHANGED: &str = "muster.enroll.v1.EnforcementScopeChanged";
    /// Identity: two live sessions use one identity.
    pub const CLONE_SUSPECTED: &str = "muster.identity.v1.CloneSuspected";
    /// Identity: an admin resolved a suspicion.
    pub const CLONE_RESOLVED: &str = "muster.identity.v1.CloneResolved";
    /// Identity: a device is no longer registered.
    pub const REGISTRATION_REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
    /// Identity: a device is trusted.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
    /// Identity: a group was defined.
    pub const GROUP_DEFINED: &str = "muster.identity.v1.GroupDefined";
    /// Identity: a group was deleted.
    pub const GROUP_DELETED: &str = "muster.identity.v1.GroupDeleted";
    /// Identity: devices came into or left a group.
    pub const MEMBERSHIP_CHANGED: &str = "muster.identity.v1.GroupMembershipChanged";
}

/// Settings as the contract writes them, sorted by id.
#[must_use]
pub fn to_settings(settings: &BTreeMap<SettingId, SettingValue>) -> Vec<pb::Setting> {
    settings.iter().map(|(id, value)| (id.clone(), value.clone()).into()).collect()
}

/// Settings from the log or the store.
///
/// # Errors
/// What is wrong with the first that is malformed.
pub fn from_settings(settings: Vec<pb::Setting>) -> Result<BTreeMap<SettingId, SettingValue>, String> {
    settings.into_iter().map(|setting| setting.try_into().map_err(text)).collect()
}

/// Reads the payload of an event.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decoded<M: prost::Message + Default>(envelope: &Envelope) -> Result<M, String> {
    M::decode(&envelope.payload[..]).map_err(text)
}

fn encoded(kind: &'static str, message: &impl prost::Message) -> (EventType, Vec<u8>) {
    (EventType::new(kind), message.encode_to_vec())
}

/// Devices as the contract writes them; nobody is no bytes.
pub(crate) fn bytes_of(devices: &RoaringBitmap) -> Vec<u8> {
    if devices.is_empty() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(devices.serialized_size());
    devices.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// Devices from the log or the store.
pub(crate) fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap, String> {
    if bytes.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    RoaringBitmap::deserialize_from(bytes).map_err(text)
}

fn digest(bytes: &[u8]) -> Result<Digest, String> {
    bytes.try_into().map_err(|_| format!("a digest has 32 bytes, found {}", bytes.len()))
}

/// Where an event comes from, by its envelope and the reason in its payload.
fn origin(envelope: &Envelope, reason: String) -> Origin {
    let context = &envelope.context;
    Origin { actor: context.actor.as_str().to_owned(), reason, request: request(envelope), at: context.time }
}

fn request(envelope: &Envelope) -> RequestId {
    RequestId::from_uuid(envelope.context.correlation_id)
}

#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn text(error: impl ToString) -> String {
    error.to_string()
}
