//! Domain events ↔ the payloads of the log (`events.proto`), and old forms made new on reading.
//!
//! A payload does not repeat what its envelope says: the moment of an event.

pub(crate) mod directory_device;
mod group;
mod registration;
pub mod survey;
mod trust_anchor;

use muster_eventlog::EventType;
use muster_proto::identity::v1 as pb;
use muster_types::{Digest, HardwareKey, HardwareKeyKind};
use roaring::RoaringBitmap;

pub(crate) use registration::boot_ids;

/// Full names of the payloads.
pub mod kind {
    /// Trust in a device was established.
    pub const TRUST_ESTABLISHED: &str = "muster.identity.v1.TrustEstablished";
    /// A device got a new certificate over its present one.
    pub const TRUST_RENEWED: &str = "muster.identity.v1.TrustRenewed";
    /// A device used a new certificate for the first time.
    pub const CERTIFICATE_ACTIVATED: &str = "muster.identity.v1.CertificateActivated";
    /// All certificates of a device end.
    pub const TRUST_REVOKED: &str = "muster.identity.v1.TrustRevoked";
    /// A synthetic registration was replaced by a full one.
    pub const REGISTRATION_PROMOTED: &str = "muster.identity.v1.RegistrationPromoted";
    /// A device is no longer registered.
    pub const REGISTRATION_REMOVED: &str = "muster.identity.v1.RegistrationRemoved";
    /// Two live sessions use one identity.
    pub const CLONE_SUSPECTED: &str = "muster.identity.v1.CloneSuspected";
    /// An admin resolved a suspicion.
    pub const CLONE_RESOLVED: &str = "muster.identity.v1.CloneResolved";
    /// A group was defined.
    pub const GROUP_DEFINED: &str = "muster.identity.v1.GroupDefined";
    /// Devices came into or left a group.
    pub const MEMBERSHIP_CHANGED: &str = "muster.identity.v1.GroupMembershipChanged";
    /// The rule of a dynamic group changed.
    pub const GROUP_RULE_CHANGED: &str = "muster.identity.v1.GroupRuleChanged";
    /// A group was deleted.
    pub const GROUP_DELETED: &str = "muster.identity.v1.GroupDeleted";
    /// A directory told of a device, or said something new.
    pub const DIRECTORY_DEVICE_UPSERTED: &str = "muster.identity.v1.DirectoryDeviceUpserted";
    /// A directory no longer has a device.
    pub const DIRECTORY_DEVICE_REMOVED: &str = "muster.identity.v1.DirectoryDeviceRemoved";
    /// An admin must say which device a directory told of.
    pub const DIRECTORY_MATCH_AMBIGUOUS: &str = "muster.identity.v1.DirectoryMatchAmbiguous";
    /// An authority was registered.
    pub const TRUST_ANCHOR_ADDED: &str = "muster.identity.v1.TrustAnchorAdded";
    /// An authority was removed.
    pub const TRUST_ANCHOR_REMOVED: &str = "muster.identity.v1.TrustAnchorRemoved";
    /// Of enroll: a device came in.
    pub const DEVICE_ONBOARDED: &str = "muster.enroll.v1.DeviceOnboarded";
    /// Of enroll: what a device says of itself changed.
    pub const FACTS_CHANGED: &str = "muster.enroll.v1.DeviceFactsChanged";
    /// Of enroll: a device may be enrolled.
    pub const ENROLLMENT_PERMITTED: &str = "muster.enroll.v1.EnrollmentPermitted";
    /// Of enroll: a device is enrolled.
    pub const ENROLLMENT_SUCCEEDED: &str = "muster.enroll.v1.EnrollmentSucceeded";
    /// Of enroll: a device may not be managed by this channel.
    pub const ENROLLMENT_REFUSED: &str = "muster.enroll.v1.EnrollmentRefused";
    /// Of enroll: who manages a device changed.
    pub const AUTHORITY_CHANGED: &str = "muster.enroll.v1.ManagementAuthorityChanged";
    /// Of enroll: tags of a device changed.
    pub const DEVICE_TAGGED: &str = "muster.enroll.v1.DeviceTagged";
    /// Of enroll: an admin asked for a device's offboarding.
    pub const OFFBOARDING_REQUESTED: &str = "muster.enroll.v1.DeviceOffboardingRequested";
    /// Of enroll: a device was deleted.
    pub const DEVICE_DELETED: &str = "muster.enroll.v1.DeviceDeleted";
    /// Of enroll: a device confirmed its offboarding.
    pub const DEVICE_OFFBOARDED: &str = "muster.enroll.v1.DeviceOffboarded";
    /// Of enroll: a device may come back.
    pub const REENROLLMENT_ALLOWED: &str = "muster.enroll.v1.ReenrollmentAllowed";
    /// Of policy: two boots of one identity took turns in checking in.
    pub const DUPLICATE_SESSIONS_OBSERVED: &str = "muster.policy.v1.DuplicateSessionsObserved";
}

/// Ordinals in the portable serialisation; nothing for none.
#[must_use]
pub fn bitmap_bytes(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    if !bitmap.is_empty() {
        bitmap.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    }
    bytes
}

/// Reads what [`bitmap_bytes`] wrote.
///
/// # Errors
/// What is wrong with the bytes.
pub fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap, String> {
    if bytes.is_empty() {
        Ok(RoaringBitmap::new())
    } else {
        RoaringBitmap::deserialize_from(bytes).map_err(text)
    }
}

pub(crate) fn decoded<M: prost::Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(text)
}

pub(crate) fn encoded(kind: &'static str, message: &impl prost::Message) -> (EventType, Vec<u8>) {
    (EventType::new(kind), message.encode_to_vec())
}

#[expect(clippy::needless_pass_by_value, reason = "takes what `map_err` gives")]
pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Hardware keys as messages.
#[must_use]
pub fn hardware_key_messages(keys: &[HardwareKey]) -> Vec<pb::HardwareKey> {
    let message = |HardwareKey { kind, digest }: &HardwareKey| pb::HardwareKey {
        kind: match kind {
            HardwareKeyKind::TpmEk => pb::HardwareKeyKind::TpmEk,
            HardwareKeyKind::SmbiosUuid => pb::HardwareKeyKind::SmbiosUuid,
            HardwareKeyKind::Serial => pb::HardwareKeyKind::Serial,
            HardwareKeyKind::MachineId => pb::HardwareKeyKind::MachineId,
        }
        .into(),
        digest: digest.to_vec(),
    };
    keys.iter().map(message).collect()
}

/// Reads hardware keys. Those of a kind that this version does not know are left out.
///
/// # Errors
/// What is wrong with one.
pub fn hardware_keys(messages: &[pb::HardwareKey]) -> Result<Vec<HardwareKey>, String> {
    let known = |message: &pb::HardwareKey| {
        let kind = match message.kind() {
            pb::HardwareKeyKind::Unspecified => return None,
            pb::HardwareKeyKind::TpmEk => HardwareKeyKind::TpmEk,
            pb::HardwareKeyKind::SmbiosUuid => HardwareKeyKind::SmbiosUuid,
            pb::HardwareKeyKind::Serial => HardwareKeyKind::Serial,
            pb::HardwareKeyKind::MachineId => HardwareKeyKind::MachineId,
        };
        Some(digest(&message.digest, "hardware_keys.digest").map(|digest| HardwareKey { kind, digest }))
    };
    messages.iter().filter_map(known).collect()
}

pub(crate) fn digest(bytes: &[u8], field: &str) -> Result<Digest, String> {
    bytes.try_into().map_err(|_| format!("{field}: expected 32 bytes, found {}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_bitmap_is_told() {
        assert!(bitmap(&[1, 2, 3]).is_err());
        assert_eq!(bitmap(&[]), Ok(RoaringBitmap::new()));
    }
}
