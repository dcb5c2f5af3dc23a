//! By what the machine is recognised again.

use muster_proto::identity::v1 as pb;
use muster_types::{Digest, HardwareKey, HardwareKeyKind};
use sha2::{Digest as _, Sha256};

use super::machine::{FILE_BYTES_MAX, Machine, fit};

/// What stands in the place of a machine id before the first boot.
const NO_MACHINE_ID: &str = "uninitialized";
/// Where boards without SMBIOS show their serial number, ended by a zero byte.
const DEVICE_TREE_SERIAL: &str = "sys/firmware/devicetree/base/serial-number";

fn machine_id(machine: &Machine) -> Option<String> {
    let id = machine.text("etc/machine-id").or_else(|| machine.text("var/lib/dbus/machine-id"))?;
    (id != NO_MACHINE_ID).then_some(id)
}

/// SHA-256 over what stays the same as long as it is the same machine.
pub(super) fn digest(machine: &Machine, hostname: &str, gaps: &mut Vec<String>) -> Digest {
    let machine_id = machine_id(machine);
    let (uuid, serial) = (machine.dmi("product_uuid"), machine.dmi("product_serial"));
    if machine_id.is_none() {
        let instead = if uuid.is_some() || serial.is_some() { "DMI alone" } else { "the host name alone" };
        gaps.push(format!("no machine id: the device is recognised again by {instead}"));
    }
    let only_name = machine_id.is_none() && uuid.is_none() && serial.is_none();
    let parts =
        [machine_id, uuid, serial, only_name.then(|| hostname.to_owned())].map(Option::unwrap_or_default);
    let mut hasher = Sha256::new();
    hasher.update(b"muster.hardware.v1\0");
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// Digests by which the same hardware is recognised, the strongest first. Placeholders make none.
pub(super) fn keys(machine: &Machine) -> Vec<pb::HardwareKey> {
    let serial = machine.dmi("product_serial").or_else(|| {
        let serial = machine.bytes(DEVICE_TREE_SERIAL, FILE_BYTES_MAX)?;
        Some(fit(&String::from_utf8_lossy(&serial)))
    });
    let values = [
        (HardwareKeyKind::SmbiosUuid, machine.dmi("product_uuid")),
        (HardwareKeyKind::Serial, serial),
        (HardwareKeyKind::MachineId, machine_id(machine)),
    ];
    values.into_iter().filter_map(|(kind, value)| Some(message(HardwareKey::of(kind, &value?)?))).collect()
}

fn message(key: HardwareKey) -> pb::HardwareKey {
    let HardwareKey { kind, digest } = key;
    let kind = match kind {
        HardwareKeyKind::TpmEk => pb::HardwareKeyKind::TpmEk,
        HardwareKeyKind::SmbiosUuid => pb::HardwareKeyKind::SmbiosUuid,
        HardwareKeyKind::Serial => pb::HardwareKeyKind::Serial,
        HardwareKeyKind::MachineId => pb::HardwareKeyKind::MachineId,
    };
    pb::HardwareKey { kind: kind.into(), digest: digest.to_vec() }
}
