//! What the views keep in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | view | key | value |
//! |---|---|---|
//! | registrations | `0x01`, ordinal (32 bits, big-endian) | device id |
//! | groups | `0x02`, group id | [`Row`] |

use muster_types::{GroupId, Timestamp};
use prost::Message;

use crate::domain::group::Defined;
use crate::projection::groups::GroupRow;
use crate::wire;

/// First byte of an ordinal's key.
const ORDINAL: u8 = 1;
/// First byte of a group's key.
const GROUP: u8 = 2;

/// Key of a device, by its ordinal.
#[must_use]
pub fn ordinal_key(ordinal: u32) -> [u8; 5] {
    let mut key = [ORDINAL; 5];
    key[1..].copy_from_slice(&ordinal.to_be_bytes());
    key
}

/// Reads the key of a device.
#[must_use]
pub fn ordinal(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.strip_prefix(&[ORDINAL])?.try_into().ok()?))
}

/// Key of a group.
#[must_use]
pub fn group_key(id: GroupId) -> [u8; 17] {
    let mut key = [GROUP; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// Reads the key of a group.
#[must_use]
pub fn group(key: &[u8]) -> Option<GroupId> {
    GroupId::from_slice(key.strip_prefix(&[GROUP])?).ok()
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, tag = "2")]
    display_name: String,
    #[prost(bytes = "vec", tag = "3")]
    members: Vec<u8>,
    #[prost(uint64, tag = "4")]
    revision: u64,
    #[prost(sint64, tag = "5")]
    create_micros: i64,
    #[prost(sint64, optional, tag = "6")]
    membership_change_micros: Option<i64>,
}

/// A group as a row.
#[must_use]
pub fn encode_group(row: &GroupRow) -> Vec<u8> {
    let GroupRow { tenant, id: _, group } = row;
    let Defined { display_name, members, revision, create_time, membership_change_time } = group;
    let row = Row {
        tenant: tenant.to_string(),
        display_name: display_name.clone(),
        members: wire::bitmap_bytes(members),
        revision: *revision,
        create_micros: create_time.micros(),
        membership_change_micros: membership_change_time.map(Timestamp::micros),
    };
    row.encode_to_vec()
}

/// A group from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_group(id: GroupId, value: &[u8]) -> Result<GroupRow, String> {
    let row = Row::decode(value).map_err(|error| error.to_string())?;
    let Row { tenant, display_name, members, revision, create_micros, membership_change_micros } = row;
    Ok(GroupRow {
        tenant: tenant.parse().map_err(|error: muster_types::name::InvalidTenant| error.to_string())?,
        id,
        group: Defined {
            display_name,
            members: wire::bitmap(&members)?,
            revision,
            create_time: Timestamp::from_micros(create_micros),
            membership_change_time: membership_change_micros.map(Timestamp::from_micros),
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_round_trip_and_sort_by_ordinal(a: u32, b: u32, id: [u8; 16]) {
            let id = GroupId::from_uuid(uuid::Uuid::from_bytes(id));
            prop_assert_eq!(ordinal(&ordinal_key(a)), Some(a));
            prop_assert_eq!(group(&group_key(id)), Some(id));
            prop_assert_eq!(ordinal_key(a).cmp(&ordinal_key(b)), a.cmp(&b));
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        assert!(decode_group(GroupId::from_uuid(uuid::Uuid::nil()), &[0xff]).is_err());
    }
}
