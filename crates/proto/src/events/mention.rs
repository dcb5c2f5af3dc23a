//! Whether an event names a device: by the device's own stream, by its id, or in a bitmap of ordinals.

use muster_types::Aggregate;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::{EventKind, Path, find};

/// A device as events name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: Uuid,
    /// Its ordinal, where known; without it bitmaps are not looked into.
    pub ordinal: Option<u32>,
}

impl Device {
    /// Whether an event of type `kind` in the stream of an aggregate concerns this device. Of a type that is not known,
    /// only the stream tells.
    #[must_use]
    pub fn is_in(&self, aggregate: Aggregate, id: Uuid, kind: &str, payload: &[u8]) -> bool {
        (has_device_id(aggregate) && id == self.id)
            || find(kind).is_some_and(|kind| self.is_named(kind, payload))
    }

    fn is_named(&self, kind: &EventKind, payload: &[u8]) -> bool {
        let by_id = |path: &Path| any(payload, path.numbers, &|bytes| bytes == self.id.as_bytes());
        let in_bitmap = |path: &Path| {
            self.ordinal.is_some_and(|ordinal| any(payload, path.numbers, &|bytes| contains(bytes, ordinal)))
        };
        kind.devices.iter().any(by_id) || kind.bitmaps.iter().any(in_bitmap)
    }
}

/// Whether streams of this kind have a device's id as theirs.
#[must_use]
pub const fn has_device_id(aggregate: Aggregate) -> bool {
    matches!(
        aggregate,
        Aggregate::Enrollment
            | Aggregate::Registration
            | Aggregate::Sync
            | Aggregate::Session
            | Aggregate::DeviceStatus
    )
}

/// Whether a bitmap of ordinals contains one; what is no bitmap contains none.
#[must_use]
pub fn contains(bitmap: &[u8], ordinal: u32) -> bool {
    RoaringBitmap::deserialize_from(bitmap).is_ok_and(|ordinals| ordinals.contains(ordinal))
}

/// Whether any field at the end of the path holds what is looked for. Nothing else is decoded; what cannot be read
/// holds nothing.
fn any(message: &[u8], path: &[u32], holds: &dyn Fn(&[u8]) -> bool) -> bool {
    let Some((number, rest)) = path.split_first() else { return holds(message) };
    let mut fields = Fields(message);
    fields.any(|(field, bytes)| field == u64::from(*number) && any(bytes, rest, holds))
}

/// The length-delimited fields of an encoded message; ends early where it is malformed.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let key = self.varint()?;
            let skipped = match key & 7 {
                0 => self.varint().map(|_| 0)?,
                1 => 8,
                2 => {
                    let len = usize::try_from(self.varint()?).ok()?;
                    let (field, rest) = self.0.split_at_checked(len)?;
                    self.0 = rest;
                    return Some((key >> 3, field));
                }
                5 => 4,
                _ => return None,
            };
            self.0 = self.0.get(skipped..)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::{enroll, policy};

    const ID: Uuid = Uuid::from_u128(7);
    const EFFECTIVE: &str = "muster.policy.v1.EffectivePoliciesChanged";

    fn bitmap(ordinals: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let ordinals: RoaringBitmap = ordinals.iter().copied().collect();
        ordinals.serialize_into(&mut bytes).expect("a vector takes everything");
        bytes
    }

    fn effective() -> Vec<u8> {
        let resolved = |ordinals: &[u32]| policy::v1::Resolved {
            resolution_id: vec![9; 32],
            devices: bitmap(ordinals),
            ..Default::default()
        };
        let event = policy::v1::EffectivePoliciesChanged {
            positions: "enroll:3".to_owned(),
            resolved: vec![resolved(&[1, 2]), resolved(&[70_000])],
            none: bitmap(&[5]),
            restated: true,
        };
        event.encode_to_vec()
    }

    #[test]
    fn bitmaps_at_any_depth_are_looked_into() {
        for (ordinal, named) in [(1, true), (2, true), (70_000, true), (5, true), (3, false), (0, false)] {
            let device = Device { id: ID, ordinal: Some(ordinal) };
            let is_in = device.is_in(Aggregate::Resolution, Uuid::nil(), EFFECTIVE, &effective());
            assert_eq!(is_in, named, "{ordinal}");
        }
        let unknown = Device { id: ID, ordinal: None };
        assert!(!unknown.is_in(Aggregate::Resolution, Uuid::nil(), EFFECTIVE, &effective()));
    }

    #[test]
    fn a_device_is_named_by_its_stream_and_by_its_id() {
        let device = Device { id: ID, ordinal: None };
        assert!(device.is_in(Aggregate::Enrollment, ID, "muster.enroll.v9.Unheard", b"\xff"));
        assert!(!device.is_in(Aggregate::Policy, ID, "muster.policy.v1.PolicyDeleted", b""));
        let used = enroll::v1::OnboardingTokenUsed { device_id: ID.as_bytes().to_vec() }.encode_to_vec();
        assert!(device.is_in(
            Aggregate::OnboardingToken,
            Uuid::nil(),
            "muster.enroll.v1.OnboardingTokenUsed",
            &used
        ));
    }

    #[test]
    fn torn_payloads_name_nobody_and_break_nothing() {
        let (whole, device) = (effective(), Device { id: ID, ordinal: Some(9) });
        for end in 0..whole.len() {
            assert!(!device.is_in(Aggregate::Resolution, Uuid::nil(), EFFECTIVE, &whole[..end]));
        }
        for byte in 0..=u8::MAX {
            assert!(!device.is_in(Aggregate::Resolution, Uuid::nil(), EFFECTIVE, &[byte; 40]));
        }
    }
}
