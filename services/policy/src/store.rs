//! What the view keeps in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | key | value |
//! |---|---|
//! | `0x01`, device id | what is told of the device |
//! | `0x02`, group id | whether it is defined, its members |
//! | `0x03`, policy id | the policy in its latest revision |
//! | `0x04`, policy id, group id | the assignment |
//!
//! What devices shall be set to is no row: it follows from these.

use muster_catalog::Platform;
use muster_proto::policy::v1 as pb;
use muster_types::{DeviceId, GroupId, PolicyId, Timestamp};
use prost::Message;
use roaring::RoaringBitmap;

use crate::domain::assignment::{Assigned, Intent, Priority, Tie};
use crate::domain::policy::OnUnassign;
use crate::projection::fleet::{Gone, Group, Management, PolicyRow, Told, facts_mark};
use crate::wire;

const DEVICE: u8 = 1;
const GROUP: u8 = 2;
const POLICY: u8 = 3;
const ASSIGNMENT: u8 = 4;

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
        _ => None,
    }
}

fn tagged(tag: u8, id: &[u8; 16]) -> [u8; 17] {
    let mut key = [tag; 17];
    key[1..].copy_from_slice(id);
    key
}

#[derive(Clone, PartialEq, Message)]
struct StoredDevice {
    #[prost(uint32, tag = "1")]
    platform: u32,
    #[prost(uint32, tag = "2")]
    management: u32,
    #[prost(uint32, optional, tag = "3")]
    ordinal: Option<u32>,
    /// Enrollment code of a management elsewhere.
    #[prost(string, tag = "4")]
    code: String,
    #[prost(uint32, tag = "5")]
    gone: u32,
    #[prost(bool, tag = "6")]
    quarantined: bool,
    #[prost(sint64, optional, tag = "7")]
    offboarding_micros: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "8")]
    facts: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredGroup {
    #[prost(bool, tag = "1")]
    defined: bool,
    #[prost(bytes = "vec", tag = "2")]
    members: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredPolicy {
    #[prost(string, tag = "1")]
    display_name: String,
    #[prost(string, tag = "2")]
    profile: String,
    #[prost(message, repeated, tag = "3")]
    settings: Vec<pb::Setting>,
    #[prost(uint64, tag = "4")]
    revision: u64,
    #[prost(sint64, tag = "5")]
    create_micros: i64,
    #[prost(sint64, tag = "6")]
    update_micros: i64,
    #[prost(bool, tag = "7")]
    keep: bool,
    #[prost(sint64, optional, tag = "8")]
    delete_micros: Option<i64>,
    #[prost(string, tag = "9")]
    actor: String,
    #[prost(string, tag = "10")]
    reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAssignment {
    #[prost(bool, tag = "1")]
    exclude: bool,
    #[prost(sint64, tag = "2")]
    at_micros: i64,
    #[prost(uint32, optional, tag = "3")]
    priority: Option<u32>,
    #[prost(string, tag = "4")]
    filter: String,
}

/// A device as a row.
#[must_use]
pub fn encode_device(told: &Told) -> Vec<u8> {
    let Told { platform, management, ordinal, gone, quarantined, offboarding, facts } = told;
    let platform = match platform {
        None => 0,
        Some(Platform::Windows) => 1,
        Some(Platform::Linux) => 2,
        Some(Platform::Macos) => 3,
    };
    let (management, code) = match management {
        Management::Undecided => (0, String::new()),
        Management::Here => (1, String::new()),
        Management::Elsewhere(code) => (2, code.as_str().to_owned()),
    };
    let gone = match gone {
        None => 0,
        Some(Gone::Offboarded) => 1,
        Some(Gone::Deleted) => 2,
        Some(Gone::Merged) => 3,
    };
    StoredDevice {
        platform,
        management,
        ordinal: *ordinal,
        code,
        gone,
        quarantined: *quarantined,
        offboarding_micros: offboarding.map(Timestamp::micros),
        facts: facts.map(Vec::from),
    }
    .encode_to_vec()
}

/// A device from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_device(value: &[u8]) -> Result<Told, String> {
    let StoredDevice { platform, management, ordinal, code, gone, quarantined, offboarding_micros, facts } =
        decoded(value)?;
    let mark = |facts: Vec<u8>| facts_mark(&facts).ok_or("a mark of facts has 8 bytes");
    Ok(Told {
        platform: match platform {
            0 => None,
            1 => Some(Platform::Windows),
            2 => Some(Platform::Linux),
            3 => Some(Platform::Macos),
            other => return Err(format!("platform {other}")),
        },
        management: match management {
            0 => Management::Undecided,
            1 => Management::Here,
            2 => Management::Elsewhere(code.parse().map_err(|_| format!("code {code:?}"))?),
            other => return Err(format!("management {other}")),
        },
        ordinal,
        gone: match gone {
            0 => None,
            1 => Some(Gone::Offboarded),
            2 => Some(Gone::Deleted),
            3 => Some(Gone::Merged),
            other => return Err(format!("gone {other}")),
        },
        quarantined,
        offboarding: offboarding_micros.map(Timestamp::from_micros),
        facts: facts.map(mark).transpose()?,
    })
}

/// A group as a row. The same members give the same bytes, whatever way they came in.
#[must_use]
pub fn encode_group(group: &Group) -> Vec<u8> {
    let Group { defined, members } = group;
    let mut canonical = members.clone();
    canonical.optimize();
    let mut bytes = Vec::with_capacity(canonical.serialized_size());
    canonical.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    StoredGroup { defined: *defined, members: bytes }.encode_to_vec()
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

/// A policy as a row.
#[must_use]
pub fn encode_policy(policy: &PolicyRow) -> Vec<u8> {
    let PolicyRow {
        display_name,
        profile,
        settings,
        on_unassign,
        revision,
        create_time,
        update_time,
        delete_time,
        actor,
        reason,
    } = policy;
    StoredPolicy {
        display_name: display_name.clone(),
        profile: profile.clone(),
        settings: wire::to_settings(settings),
        revision: *revision,
        create_micros: create_time.micros(),
        update_micros: update_time.micros(),
        keep: *on_unassign == OnUnassign::Keep,
        delete_micros: delete_time.map(Timestamp::micros),
        actor: actor.clone(),
        reason: reason.clone(),
    }
    .encode_to_vec()
}

/// A policy from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_policy(value: &[u8]) -> Result<PolicyRow, String> {
    let StoredPolicy {
        display_name,
        profile,
        settings,
        revision,
        create_micros,
        update_micros,
        keep,
        delete_micros,
        actor,
        reason,
    } = decoded(value)?;
    Ok(PolicyRow {
        display_name,
        profile,
        settings: wire::from_settings(settings)?,
        on_unassign: if keep { OnUnassign::Keep } else { OnUnassign::Revert },
        revision,
        create_time: Timestamp::from_micros(create_micros),
        update_time: Timestamp::from_micros(update_micros),
        delete_time: delete_micros.map(Timestamp::from_micros),
        actor,
        reason,
    })
}

/// An assignment as a row.
#[must_use]
pub fn encode_assignment(assigned: &Assigned) -> Vec<u8> {
    let Assigned { tie: Tie { intent, priority, filter }, at } = assigned;
    StoredAssignment {
        exclude: *intent == Intent::Exclude,
        at_micros: at.micros(),
        priority: priority.map(|priority| priority.number().into()),
        filter: filter.clone(),
    }
    .encode_to_vec()
}

/// An assignment from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_assignment(value: &[u8]) -> Result<Assigned, String> {
    let StoredAssignment { exclude, at_micros, priority, filter } = decoded(value)?;
    let intent = if exclude { Intent::Exclude } else { Intent::Include };
    let known = |number| Priority::new(number).ok_or_else(|| format!("priority {number}"));
    let priority = priority.map(known).transpose()?;
    Ok(Assigned { tie: Tie { intent, priority, filter }, at: Timestamp::from_micros(at_micros) })
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
        }

        #[test]
        fn members_have_one_encoding(members: Vec<u32>, extra in prop::collection::vec(any::<u32>(), 0..20)) {
            let members: RoaringBitmap = members.into_iter().collect();
            let mut detour = members.clone();
            extra.iter().for_each(|ordinal| { detour.insert(*ordinal); });
            extra.iter().filter(|ordinal| !members.contains(**ordinal)).for_each(|ordinal| { detour.remove(*ordinal); });
            let group = |members| Group { defined: true, members };
            prop_assert_eq!(encode_group(&group(detour)), encode_group(&group(members.clone())));
            prop_assert_eq!(decode_group(&encode_group(&group(members.clone()))), Ok(group(members)));
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        assert!(decode_device(&[0xff]).is_err());
        assert!(decode_group(&[0xff]).is_err());
        assert_eq!(read_key(&[]), None);
        assert_eq!(read_key(&[ASSIGNMENT, 1]), None);
    }
}
