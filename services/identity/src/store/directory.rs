//! Rows of directory devices.

use muster_types::{DeviceId, DirectoryDeviceId, HardwareKey, Version};
use prost::Message;

use super::hardware::{keys_from_bytes, keys_to_bytes};
use crate::domain::directory_device::{Known, Record};
use crate::projection::directory::DirectoryRow;

/// First byte of a directory device's key.
const DIRECTORY_DEVICE: u8 = 5;

/// Key of a directory device.
#[must_use]
pub fn directory_device_key(id: DirectoryDeviceId) -> [u8; 17] {
    let mut key = [DIRECTORY_DEVICE; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// Reads the key of a directory device.
#[must_use]
pub fn directory_device(key: &[u8]) -> Option<DirectoryDeviceId> {
    DirectoryDeviceId::from_slice(key.strip_prefix(&[DIRECTORY_DEVICE])?).ok()
}

#[derive(Clone, PartialEq, Message)]
struct DirectoryDeviceValue {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, tag = "2")]
    directory_id: String,
    #[prost(string, tag = "3")]
    display_name: String,
    #[prost(string, tag = "4")]
    join_type: String,
    #[prost(bytes = "vec", tag = "5")]
    hardware_keys: Vec<u8>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<Attribute>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    ambiguous: Vec<Vec<u8>>,
    #[prost(bool, tag = "8")]
    removed: bool,
    #[prost(uint64, tag = "9")]
    version: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A directory device as a row. Removed ones have one too: their streams go on should they come back.
#[must_use]
pub fn encode_directory_device(row: &DirectoryRow) -> Vec<u8> {
    let DirectoryRow { tenant, known, version } = row;
    let Known { record, ambiguous, removed } = known;
    let Record { directory_id, display_name, join_type, hardware_keys, attributes } = record;
    let attributes = attributes
        .iter()
        .map(|(name, value)| Attribute { name: name.to_string(), value: value.to_string() })
        .collect();
    let value = DirectoryDeviceValue {
        tenant: tenant.to_string(),
        directory_id: directory_id.to_string(),
        display_name: display_name.to_string(),
        join_type: join_type.to_string(),
        hardware_keys: keys_to_bytes(hardware_keys),
        attributes,
        ambiguous: ambiguous.iter().map(|device| device.as_bytes().to_vec()).collect(),
        removed: *removed,
        version: version.0,
    };
    value.encode_to_vec()
}

/// A directory device from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_directory_device(value: &[u8]) -> Result<DirectoryRow, String> {
    let DirectoryDeviceValue {
        tenant,
        directory_id,
        display_name,
        join_type,
        hardware_keys,
        attributes,
        ambiguous,
        removed,
        version,
    } = DirectoryDeviceValue::decode(value).map_err(|error| error.to_string())?;
    let keys: Vec<HardwareKey> = keys_from_bytes(&hardware_keys)?;
    let record = Record {
        directory_id: directory_id.into(),
        display_name: display_name.into(),
        join_type: join_type.into(),
        hardware_keys: keys.into(),
        attributes: attributes
            .into_iter()
            .map(|Attribute { name, value }| (name.into(), value.into()))
            .collect(),
    };
    let device = |id: &Vec<u8>| DeviceId::from_slice(id).map_err(|error| error.to_string());
    let ambiguous = ambiguous.iter().map(device).collect::<Result<_, _>>()?;
    Ok(DirectoryRow {
        tenant: tenant.parse().map_err(|error: muster_types::name::InvalidTenant| error.to_string())?,
        known: Known { record, ambiguous, removed },
        version: Version(version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_what_is_no_row_is_told() {
        let id = DirectoryDeviceId::from_uuid(uuid::Uuid::from_u128(7));
        assert_eq!(directory_device(&directory_device_key(id)), Some(id));
        assert!(decode_directory_device(&[0xff]).is_err());
        assert!(decode_directory_device(&[]).is_err());
    }
}
