//! What the views keep in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | view | key | value |
//! |---|---|---|
//! | registrations | `0x01`, ordinal (32 bits, big-endian) | `RegistrationValue` |
//! | groups | `0x02`, group id | `Row` |
//! | trust_anchors | `0x04`, trust anchor id | see [`trust_anchor`] |
//! | directory | `0x05`, directory device id | see [`directory`] |
//! | hardware | `0x06`, ordinal (32 bits, big-endian) | see [`hardware`] |
//! | membership | `0x07` to `0x0a` | see [`membership`] |
//! | histories | `0x0b`, `0x0c` | see [`mod@history`] |

pub mod directory;
pub mod hardware;
pub mod history;
pub mod membership;
pub mod trust_anchor;

use muster_types::{DeviceId, GroupId, Timestamp};
use prost::Message;

use crate::domain::group::Defined;
use crate::domain::registration::{Proven, Registered, Removal, Serial};
use crate::projection::groups::GroupRow;
use crate::projection::registrations;
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
struct RegistrationValue {
    #[prost(bytes = "vec", tag = "1")]
    device: Vec<u8>,
    #[prost(string, optional, tag = "2")]
    registration: Option<String>,
    #[prost(string, tag = "3")]
    join_type: String,
    #[prost(bytes = "vec", tag = "4")]
    serial: Vec<u8>,
    #[prost(sint64, tag = "5")]
    not_after_micros: i64,
    #[prost(bytes = "vec", optional, tag = "6")]
    activated: Option<Vec<u8>>,
    #[prost(string, optional, tag = "7")]
    revoked: Option<String>,
    #[prost(bool, tag = "8")]
    quarantined: bool,
    /// 1: deleted, 2: offboarded, 3: merged into the device of the next field.
    #[prost(uint32, tag = "9")]
    removed: u32,
    #[prost(bytes = "vec", tag = "10")]
    merged_into: Vec<u8>,
    #[prost(sint64, tag = "11")]
    settled_micros: i64,
    #[prost(sint64, tag = "12")]
    create_micros: i64,
    #[prost(sint64, tag = "13")]
    update_micros: i64,
}

/// A device's registration as a row.
#[must_use]
pub fn encode_registration(row: &registrations::Row) -> Vec<u8> {
    let registrations::Row { device, registered, create_time, update_time } = row;
    let Registered { proven, serial, not_after, activated, revoked, quarantined, removed, settled } =
        registered;
    let (removed, merged_into) = match removed {
        None => (0, Vec::new()),
        Some(Removal::Deleted) => (1, Vec::new()),
        Some(Removal::Offboarded) => (2, Vec::new()),
        Some(Removal::Merged { into }) => (3, into.as_bytes().to_vec()),
    };
    let proven = proven.as_deref();
    let value = RegistrationValue {
        device: device.as_bytes().to_vec(),
        registration: proven.map(|proven| proven.registration.to_string()),
        join_type: proven.map(|proven| proven.join_type.to_string()).unwrap_or_default(),
        serial: serial.as_bytes().to_vec(),
        not_after_micros: not_after.micros(),
        activated: activated.map(|serial| serial.as_bytes().to_vec()),
        revoked: revoked.as_deref().map(str::to_owned),
        quarantined: *quarantined,
        removed,
        merged_into,
        settled_micros: settled.micros(),
        create_micros: create_time.micros(),
        update_micros: update_time.micros(),
    };
    value.encode_to_vec()
}

/// A device's registration from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_registration(value: &[u8]) -> Result<registrations::Row, String> {
    let RegistrationValue {
        device,
        registration,
        join_type,
        serial,
        not_after_micros,
        activated,
        revoked,
        quarantined,
        removed,
        merged_into,
        settled_micros,
        create_micros,
        update_micros,
    } = RegistrationValue::decode(value).map_err(|error| error.to_string())?;
    let id = |bytes: &[u8]| DeviceId::from_slice(bytes).map_err(|error| error.to_string());
    let number = |bytes: &[u8]| Serial::from_slice(bytes).ok_or("not a serial number");
    let proven = registration.map(|registration| {
        Box::new(Proven { registration: registration.into(), join_type: join_type.into() })
    });
    let registered = Registered {
        proven,
        serial: number(&serial)?,
        not_after: Timestamp::from_micros(not_after_micros),
        activated: activated.as_deref().map(number).transpose()?,
        revoked: revoked.map(Into::into),
        quarantined,
        removed: match removed {
            0 => None,
            1 => Some(Removal::Deleted),
            2 => Some(Removal::Offboarded),
            3 => Some(Removal::Merged { into: id(&merged_into)? }),
            other => return Err(format!("not a removal: {other}")),
        },
        settled: Timestamp::from_micros(settled_micros),
    };
    Ok(registrations::Row {
        device: id(&device)?,
        registered,
        create_time: Timestamp::from_micros(create_micros),
        update_time: Timestamp::from_micros(update_micros),
    })
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
    #[prost(string, optional, tag = "7")]
    rule: Option<String>,
}

/// A group as a row.
#[must_use]
pub fn encode_group(row: &GroupRow) -> Vec<u8> {
    let GroupRow { tenant, id: _, group } = row;
    let Defined { display_name, rule, members, revision, create_time, membership_change_time } = group;
    let row = Row {
        rule: rule.as_deref().map(str::to_owned),
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
    let Row { tenant, display_name, members, revision, create_micros, membership_change_micros, rule } = row;
    Ok(GroupRow {
        tenant: tenant.parse().map_err(|error: muster_types::name::InvalidTenant| error.to_string())?,
        id,
        group: Defined {
            display_name,
            rule: rule.map(Into::into),
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
