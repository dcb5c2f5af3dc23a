//! What the view keeps in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | key | value |
//! |---|---|
//! | `0x01`, device id | what is told of the device |
//! | `0x02`, group id | whether it is defined, its members |
//! | `0x03`, policy id | the policy in its latest revision |
//! | `0x04`, policy id, group id | the assignment |
//! | `0x05`, waiver id | the waiver, active or not |
//! | `0x06` | how devices check in |
//! | `0x07` | which edition of the rules holds |
//!
//! What devices shall be set to is no row: it follows from these.

mod authoring;
mod device;
pub mod resolutions;

use muster_types::{DeviceId, GroupId, PolicyId, WaiverId};
use prost::Message;
use roaring::RoaringBitmap;

use crate::projection::fleet::Group;

pub use authoring::{
    decode_assignment, decode_check_ins, decode_policy, decode_rules, decode_waiver, encode_assignment,
    encode_check_ins, encode_policy, encode_rules, encode_waiver,
};
pub use device::{decode_device, encode_device};

const DEVICE: u8 = 1;
const GROUP: u8 = 2;
const POLICY: u8 = 3;
const ASSIGNMENT: u8 = 4;
const WAIVER: u8 = 5;
const CHECK_INS: u8 = 6;
const RULES: u8 = 7;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A device.
    Device(DeviceId),
    /// A group.
    Group(GroupId),
    /// A policy.
    Policy(PolicyId),
    /// An assignment.
    Assignment(PolicyId, GroupId),
    /// A waiver.
    Waiver(WaiverId),
    /// How devices check in.
    CheckInSettings,
    /// Which edition of the rules holds.
    Rules,
}

/// Key of a device.
#[must_use]
pub fn device_key(id: DeviceId) -> [u8; 17] {
    tagged(DEVICE, id.as_bytes())
}

/// Key of a group.
#[must_use]
pub fn group_key(id: GroupId) -> [u8; 17] {
    tagged(GROUP, id.as_bytes())
}

/// Key of a policy.
#[must_use]
pub fn policy_key(id: PolicyId) -> [u8; 17] {
    tagged(POLICY, id.as_bytes())
}

/// Key of an assignment.
#[must_use]
pub fn assignment_key(policy: PolicyId, group: GroupId) -> [u8; 33] {
    let mut key = [ASSIGNMENT; 33];
    key[1..17].copy_from_slice(policy.as_bytes());
    key[17..].copy_from_slice(group.as_bytes());
    key
}

/// Key of a waiver.
#[must_use]
pub fn waiver_key(id: WaiverId) -> [u8; 17] {
    tagged(WAIVER, id.as_bytes())
}

/// Key of how devices check in.
#[must_use]
pub const fn check_in_settings_key() -> [u8; 1] {
    [CHECK_INS]
}

/// Key of the edition of the rules.
#[must_use]
pub const fn rules_key() -> [u8; 1] {
    [RULES]
}

/// Reads a key.
#[must_use]
pub fn read_key(key: &[u8]) -> Option<Key> {
    match key.split_first()? {
        (&DEVICE, id) => DeviceId::from_slice(id).ok().map(Key::Device),
        (&GROUP, id) => GroupId::from_slice(id).ok().map(Key::Group),
        (&POLICY, id) => PolicyId::from_slice(id).ok().map(Key::Policy),
        (&ASSIGNMENT, ids) => {
            let (policy, group) = ids.split_at_checked(16)?;
            Some(Key::Assignment(PolicyId::from_slice(policy).ok()?, GroupId::from_slice(group).ok()?))
        }
        (&WAIVER, id) => WaiverId::from_slice(id).ok().map(Key::Waiver),
        (&CHECK_INS, []) => Some(Key::CheckInSettings),
        (&RULES, []) => Some(Key::Rules),
        _ => None,
    }
}

fn tagged(tag: u8, id: &[u8; 16]) -> [u8; 17] {
    let mut key = [tag; 17];
    key[1..].copy_from_slice(id);
    key
}

#[derive(Clone, PartialEq, Message)]
struct StoredGroup {
    #[prost(bool, tag = "1")]
    defined: bool,
    #[prost(bytes = "vec", tag = "2")]
    members: Vec<u8>,
}

/// A group as a row. The same members give the same bytes, whatever way they came in.
#[must_use]
pub fn encode_group(defined: bool, members: &RoaringBitmap) -> Vec<u8> {
    let mut canonical = members.clone();
    canonical.optimize();
    let mut bytes = Vec::with_capacity(canonical.serialized_size());
    canonical.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    StoredGroup { defined, members: bytes }.encode_to_vec()
}

/// A group from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_group(value: &[u8]) -> Result<Group, String> {
    let StoredGroup { defined, members } = decoded(value)?;
    let members = RoaringBitmap::deserialize_from(&members[..]).map_err(|error| error.to_string())?;
    Ok(Group { defined, members })
}

fn decoded<M: Message + Default>(value: &[u8]) -> Result<M, String> {
    M::decode(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn keys_round_trip(a: [u8; 16], b: [u8; 16]) {
            let (device, group) = (DeviceId::from_uuid(Uuid::from_bytes(a)), GroupId::from_uuid(Uuid::from_bytes(b)));
            let policy = PolicyId::from_uuid(Uuid::from_bytes(a));
            prop_assert_eq!(read_key(&device_key(device)), Some(Key::Device(device)));
            prop_assert_eq!(read_key(&group_key(group)), Some(Key::Group(group)));
            prop_assert_eq!(read_key(&policy_key(policy)), Some(Key::Policy(policy)));
            prop_assert_eq!(read_key(&assignment_key(policy, group)), Some(Key::Assignment(policy, group)));
            let waiver = WaiverId::from_uuid(Uuid::from_bytes(b));
            prop_assert_eq!(read_key(&waiver_key(waiver)), Some(Key::Waiver(waiver)));
        }

        #[test]
        fn members_have_one_encoding(members: Vec<u32>, extra in prop::collection::vec(any::<u32>(), 0..20)) {
            let members: RoaringBitmap = members.into_iter().collect();
            let mut detour = members.clone();
            extra.iter().for_each(|ordinal| { detour.insert(*ordinal); });
            extra.iter().filter(|ordinal| !members.contains(**ordinal)).for_each(|ordinal| { detour.remove(*ordinal); });
            prop_assert_eq!(encode_group(true, &detour), encode_group(true, &members));
            let group = Group { defined: true, members: members.clone() };
            prop_assert_eq!(decode_group(&encode_group(true, &members)), Ok(group));
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        assert!(decode_device(&[0xff]).is_err());
        assert!(decode_group(&[0xff]).is_err());
        assert!(decode_policy(&[0xff]).is_err());
        assert!(decode_assignment(&[0xff]).is_err());
        assert!(decode_waiver(&[0xff]).is_err());
        assert!(decode_waiver(&[]).is_err());
        assert!(decode_check_ins(&[0xff]).is_err());
        assert!(decode_rules(&[]).is_err());
        assert_eq!(read_key(&[]), None);
        assert_eq!(read_key(&[CHECK_INS, 1]), None);
        assert_eq!(read_key(&[ASSIGNMENT, 1]), None);
    }
}
