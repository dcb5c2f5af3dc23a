//! Hardware keys: digests by which the same hardware is recognised, whatever is installed on it.

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Most hardware keys that a device or a directory names.
pub const HARDWARE_KEYS_MAX: usize = 8;

/// What a hardware key is a digest of, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HardwareKeyKind {
    /// Public endorsement key of the TPM.
    TpmEk = 1,
    /// SMBIOS product UUID.
    SmbiosUuid = 2,
    /// SMBIOS or hardware serial number.
    Serial = 3,
    /// Machine id of the installation.
    MachineId = 4,
}

/// A digest by which the same hardware is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardwareKey {
    /// What it is a digest of.
    pub kind: HardwareKeyKind,
    /// The digest, as [`HardwareKey::of`] makes it.
    pub digest: Digest,
}

impl HardwareKey {
    /// The key of a value as the machine or a directory shows it; `None` when the value is a placeholder and names no
    /// machine.
    ///
    /// The digest is SHA-256 of `muster hardware key v1`, a zero byte, the kind's number, and the value in lower case
    /// without white space and hyphens.
    #[must_use]
    pub fn of(kind: HardwareKeyKind, value: &str) -> Option<Self> {
        let value: String =
            value.to_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if is_placeholder(&value) {
            return None;
        }
        let mut hasher = Sha256::new();
        hasher.update(b"muster hardware key v1\0");
        hasher.update([kind as u8]);
        hasher.update(value.as_bytes());
        Some(Self { kind, digest: hasher.finalize().into() })
    }
}

/// What makers leave where a number should be, in lower case without blanks and hyphens.
const PLACEHOLDERS: [&str; 14] = [
    "",
    "none",
    "null",
    "unknown",
    "notspecified",
    "notapplicable",
    "n/a",
    "default",
    "defaultstring",
    "systemserialnumber",
    "tobefilledbyo.e.m.",
    "tobefilledbyoem",
    "03000200040005000006000700080009",
    "12345678901234567890123456789012",
];

/// Short numbers and runs of one digit name no machine either.
fn is_placeholder(value: &str) -> bool {
    let first = value.chars().next();
    value.chars().count() < 4
        || PLACEHOLDERS.contains(&value)
        || value.chars().all(|c| Some(c) == first)
        || "0123456789".contains(value)
}

/// Whether two sets of keys are of the same hardware: the strongest kind that both have decides. `None` when they have
/// no kind in common.
#[must_use]
pub fn same_hardware(a: &[HardwareKey], b: &[HardwareKey]) -> Option<bool> {
    let strongest =
        a.iter().filter(|key| b.iter().any(|other| other.kind == key.kind)).map(|key| key.kind).min()?;
    let of_kind = |keys: &[HardwareKey]| {
        keys.iter().filter(|key| key.kind == strongest).map(|key| key.digest).collect::<Vec<_>>()
    };
    let (a, b) = (of_kind(a), of_kind(b));
    Some(a.iter().any(|digest| b.contains(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: HardwareKeyKind, value: &str) -> HardwareKey {
        HardwareKey::of(kind, value).expect("a value, not a placeholder")
    }

    #[test]
    fn the_way_a_value_is_written_does_not_matter() {
        let dashed = key(HardwareKeyKind::SmbiosUuid, "4C4C4544-0042-3310-8052-B4C04F4E4D31");
        assert_eq!(dashed, key(HardwareKeyKind::SmbiosUuid, " 4c4c4544004233108052b4c04f4e4d31 "));
        assert_ne!(dashed.digest, key(HardwareKeyKind::Serial, "4c4c4544004233108052b4c04f4e4d31").digest);
    }

    #[test]
    fn placeholders_name_no_machine() {
        for value in ["", "None", "To Be Filled By O.E.M.", "0000-0000", "123456789", "FFFFFFFF", "n/a", "ab"]
        {
            assert_eq!(HardwareKey::of(HardwareKeyKind::Serial, value), None, "{value:?} passed");
        }
    }

    #[test]
    fn the_strongest_kind_that_both_have_decides() {
        let (uuid, other) =
            (key(HardwareKeyKind::SmbiosUuid, "aaaa-1"), key(HardwareKeyKind::SmbiosUuid, "bbbb-2"));
        let machine_id = key(HardwareKeyKind::MachineId, "cccc-3");
        assert_eq!(same_hardware(&[uuid, machine_id], &[machine_id, uuid]), Some(true));
        assert_eq!(
            same_hardware(&[uuid, machine_id], &[other, machine_id]),
            Some(false),
            "a cloned machine id"
        );
        assert_eq!(same_hardware(&[uuid, machine_id], &[machine_id]), Some(true));
        assert_eq!(same_hardware(&[uuid], &[machine_id]), None);
    }
}
