//! Rows of devices' hardware keys.

use muster_types::{DeviceId, HardwareKey, HardwareKeyKind};

use crate::projection::hardware::HardwareRow;

/// First byte of the key of a device's hardware keys.
const HARDWARE: u8 = 6;
/// A key in a row: its kind and its digest.
const KEY_BYTES: usize = 1 + 32;

/// Key of a device's hardware keys, by its ordinal.
#[must_use]
pub fn hardware_key(ordinal: u32) -> [u8; 5] {
    let mut key = [HARDWARE; 5];
    key[1..].copy_from_slice(&ordinal.to_be_bytes());
    key
}

/// Reads the key of a device's hardware keys.
#[must_use]
pub fn hardware(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.strip_prefix(&[HARDWARE])?.try_into().ok()?))
}

/// A device's hardware keys as a row: the device, whether it was removed, the keys.
#[must_use]
pub fn encode_hardware(row: &HardwareRow, removed: bool) -> Vec<u8> {
    let HardwareRow { device, keys } = row;
    [&device.as_bytes()[..], &[u8::from(removed)], &keys_to_bytes(keys)].concat()
}

/// A device's hardware keys from their row, and whether it was removed.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_hardware(value: &[u8]) -> Result<(HardwareRow, bool), String> {
    let (device, [removed, keys @ ..]) = value.split_at_checked(16).ok_or("no device")? else {
        return Err("it ends after the device".into());
    };
    let device = DeviceId::from_slice(device).map_err(|error| error.to_string())?;
    Ok((HardwareRow { device, keys: keys_from_bytes(keys)?.into() }, *removed != 0))
}

/// Hardware keys in a row, one behind the other.
pub(super) fn keys_to_bytes(keys: &[HardwareKey]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(keys.len() * KEY_BYTES);
    for HardwareKey { kind, digest } in keys {
        bytes.push(*kind as u8);
        bytes.extend_from_slice(digest);
    }
    bytes
}

/// Reads what [`keys_to_bytes`] wrote.
pub(super) fn keys_from_bytes(bytes: &[u8]) -> Result<Vec<HardwareKey>, String> {
    let (keys, []) = bytes.as_chunks::<KEY_BYTES>() else {
        return Err("hardware keys are cut off".into());
    };
    let key = |[kind, digest @ ..]: &[u8; KEY_BYTES]| {
        let kind = match kind {
            1 => HardwareKeyKind::TpmEk,
            2 => HardwareKeyKind::SmbiosUuid,
            3 => HardwareKeyKind::Serial,
            4 => HardwareKeyKind::MachineId,
            other => return Err(format!("not a kind of hardware key: {other}")),
        };
        Ok(HardwareKey { kind, digest: *digest })
    };
    keys.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_what_is_none_is_told() {
        let row = HardwareRow {
            device: DeviceId::from_uuid(uuid::Uuid::from_u128(7)),
            keys: Box::new([
                HardwareKey { kind: HardwareKeyKind::TpmEk, digest: [1; 32] },
                HardwareKey { kind: HardwareKeyKind::MachineId, digest: [2; 32] },
            ]),
        };
        let bytes = encode_hardware(&row, true);
        assert_eq!(decode_hardware(&bytes), Ok((row, true)));
        assert!(decode_hardware(&bytes[..20]).is_err());
        assert!(decode_hardware(&[]).is_err());
        assert_eq!(hardware(&hardware_key(9)), Some(9));
    }
}
