//! A directory's devices from a file of JSON lines.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1::{
    DirectoryDevice, HardwareKey, HardwareKeyKind, UpsertDirectoryDevicesRequest,
    UpsertDirectoryDevicesResponse,
};
use muster_types::hardware;
use serde::Deserialize;
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::Write;
use crate::output::{Data, note};

/// Devices sent in one call.
const BATCH: usize = 1_000;
/// Longest line taken, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    join_type: String,
    #[serde(default)]
    smbios_uuid: Option<String>,
    #[serde(default)]
    serial_number: Option<String>,
    #[serde(default)]
    machine_id: Option<String>,
    #[serde(default)]
    hardware_keys: Vec<LineKey>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// A hardware key that the directory already has as a digest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineKey {
    kind: KeyKind,
    digest: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyKind {
    TpmEk,
    SmbiosUuid,
    Serial,
    MachineId,
}

/// Reads the file and sends it, a batch at a time. All lines are read before any is sent.
pub(super) async fn import(file: &Path, how: Write) -> Result<(), Fault> {
    let Write { dry_run, target, output } = how;
    let devices = read(file)?;
    let api = Api::connect(&target)?;
    let mut sum = UpsertDirectoryDevicesResponse::default();
    for (number, batch) in devices.chunks(BATCH).enumerate() {
        let request = UpsertDirectoryDevicesRequest {
            parent: api.parent(),
            directory_devices: batch.to_vec(),
            request_id: request_id(),
            validate_only: dry_run,
        };
        let reply = api.call(api.registrations().upsert_directory_devices(once(request))).await?;
        let UpsertDirectoryDevicesResponse { changed, unchanged, promoted, ambiguous } = reply;
        sum.changed += changed;
        sum.unchanged += unchanged;
        sum.promoted += promoted;
        sum.ambiguous += ambiguous;
        if devices.len() > BATCH {
            note(&format!("{} of {}", (number + 1) * BATCH.min(devices.len()), devices.len()));
        }
    }
    let item = json!({
        "changed": sum.changed, "unchanged": sum.unchanged,
        "promoted": sum.promoted, "ambiguous": sum.ambiguous,
    });
    let columns = &[
        ("changed", "/changed"),
        ("unchanged", "/unchanged"),
        ("promoted", "/promoted"),
        ("ambiguous", "/ambiguous"),
    ];
    Data::one(item, columns).print(output.format)?;
    if sum.ambiguous > 0 {
        note(
            "`muster registration list --directory --ambiguous` shows which devices an admin must decide on.",
        );
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<DirectoryDevice>, Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new(ErrorCode::ArgumentInvalid, format!("cannot read {}: {error}", file.display()))
    };
    let input: Box<dyn std::io::Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(unreadable)?)
    };
    let mut devices = Vec::new();
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        devices.push(device(&line).map_err(|problem| {
            Fault::invalid_field("file", format!("{}, line {}: {problem}", file.display(), number + 1))
        })?);
    }
    Ok(devices)
}

fn device(line: &str) -> Result<DirectoryDevice, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
    }
    let Line {
        id,
        display_name,
        join_type,
        smbios_uuid,
        serial_number,
        machine_id,
        hardware_keys,
        attributes,
    } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mut keys = hardware_keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let values = [
        (hardware::HardwareKeyKind::SmbiosUuid, smbios_uuid),
        (hardware::HardwareKeyKind::Serial, serial_number),
        (hardware::HardwareKeyKind::MachineId, machine_id),
    ];
    for (kind, value) in values {
        let made = value.and_then(|value| hardware::HardwareKey::of(kind, &value));
        keys.extend(made.map(|key| HardwareKey { kind: key.kind as i32, digest: key.digest.to_vec() }));
    }
    Ok(DirectoryDevice {
        directory_id: id,
        display_name,
        join_type,
        hardware_keys: keys,
        attributes: attributes.into_iter().collect(),
        ..DirectoryDevice::default()
    })
}

fn key(line: &LineKey) -> Result<HardwareKey, String> {
    let digest = unhex(&line.digest).filter(|digest| digest.len() == 32);
    let kind = match line.kind {
        KeyKind::TpmEk => HardwareKeyKind::TpmEk,
        KeyKind::SmbiosUuid => HardwareKeyKind::SmbiosUuid,
        KeyKind::Serial => HardwareKeyKind::Serial,
        KeyKind::MachineId => HardwareKeyKind::MachineId,
    };
    let wrong = || format!("hardwareKeys: {:?} is not 64 hexadecimal digits", line.digest);
    Ok(HardwareKey { kind: kind.into(), digest: digest.ok_or_else(wrong)? })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then_some(())?;
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_hardware_become_digests() {
        let read = device(
            r#"{"id":"9f0e","joinType":"AzureAD","smbiosUuid":"4C4C4544-0042-3310","serialNumber":"None"}"#,
        );
        let read = read.expect("a good line");
        assert_eq!((read.directory_id.as_str(), read.join_type.as_str()), ("9f0e", "AzureAD"));
        let [key] = &read.hardware_keys[..] else { panic!("a placeholder is no key: {read:?}") };
        assert_eq!((key.kind(), key.digest.len()), (HardwareKeyKind::SmbiosUuid, 32));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        assert!(device("{").is_err());
        assert!(device(r#"{"displayName":"x"}"#).is_err_and(|problem| problem.contains("id")));
        assert!(device(r#"{"id":"1","serial":"x"}"#).is_err_and(|problem| problem.contains("serial")));
        let digest = r#"{"id":"1","hardwareKeys":[{"kind":"serial","digest":"zz"}]}"#;
        assert!(device(digest).is_err_and(|problem| problem.contains("64 hexadecimal")));
    }
}
