//! What the view keeps in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! Numbers are big-endian. A content is the first 16 bytes of SHA-256 over what is named by it. Rows name only rows that
//! come before them.
//!
//! | key | value |
//! |---|---|
//! | `0x01`, content | a `SettingStatus` that some device said, as first encoded |
//! | `0x02`, content | contents of such entries: what some device said of all settings |
//! | `0x03`, resolution id | a `Resolution` |
//! | `0x04`, policy | tenant, name, profile, revision, settings, and whether it is deleted |
//! | `0x05`, policy, group | 1 include, 2 exclude |
//! | `0x06`, group | ordinals: a roaring bitmap, portable |
//! | `0x07`, ordinal (32 bits) | the device's id, a byte: 1 when it is gone, and its tenant |
//! | `0x08`, device | [`SaidRow`] |
//! | `0x09`, device | [`FactsRow`] |
//! | `0x0a`, chunk (32 bits) | what the policy log says of 256 devices |
//! | `0x0b`, device | [`DriftsRow`] |
//! | `0x0c`, device | its tenant: the device is stale |
//! | `0x0d` | microseconds of the latest event (64 bits) |

mod values;

use muster_types::{DeviceId, Digest, GroupId, PolicyId};
use roaring::RoaringBitmap;

use crate::wire::text;

pub use values::{
    DriftRow, DriftsRow, FactsRow, SaidRow, decode_device, decode_drifts, decode_intent, decode_platform,
    decode_policy, decode_trusted, encode_device, encode_drifts, encode_intent, encode_platform,
    encode_policy, encode_trusted,
};

/// Names something by what is in it.
pub type Content = [u8; 16];

/// Key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Something that devices said of a setting.
    Entry(Content),
    /// Something that devices said of all settings.
    List(Content),
    /// What devices should have.
    Resolution(Digest),
    /// A policy.
    Policy(PolicyId),
    /// An assignment.
    Assignment(PolicyId, GroupId),
    /// A group's members.
    Group(GroupId),
    /// The device with an ordinal.
    Device(u32),
    /// What a device last said.
    Said(DeviceId),
    /// What people know a device by.
    Facts(DeviceId),
    /// What the policy log says of some devices.
    Dues(u32),
    /// What is suspected to be worked against on a device.
    Drifts(DeviceId),
    /// A stale device.
    Stale(DeviceId),
    /// Time of the latest event.
    Latest,
}

impl Key {
    /// The key as it stands in the store.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Entry(content) => [&[1], &content[..]].concat(),
            Self::List(content) => [&[2], &content[..]].concat(),
            Self::Resolution(id) => [&[3], &id[..]].concat(),
            Self::Policy(policy) => [&[4], &policy.as_bytes()[..]].concat(),
            Self::Assignment(policy, group) => [&[5], &policy.as_bytes()[..], &group.as_bytes()[..]].concat(),
            Self::Group(group) => [&[6], &group.as_bytes()[..]].concat(),
            Self::Device(ordinal) => [&[7], &ordinal.to_be_bytes()[..]].concat(),
            Self::Said(device) => [&[8], &device.as_bytes()[..]].concat(),
            Self::Facts(device) => [&[9], &device.as_bytes()[..]].concat(),
            Self::Dues(chunk) => [&[10], &chunk.to_be_bytes()[..]].concat(),
            Self::Drifts(device) => [&[11], &device.as_bytes()[..]].concat(),
            Self::Stale(device) => [&[12], &device.as_bytes()[..]].concat(),
            Self::Latest => vec![13],
        }
    }

    /// The key that stands in the store.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let device = || DeviceId::from_slice(rest).ok();
        match kind {
            1 => Some(Self::Entry(rest.try_into().ok()?)),
            2 => Some(Self::List(rest.try_into().ok()?)),
            3 => Some(Self::Resolution(rest.try_into().ok()?)),
            4 => PolicyId::from_slice(rest).ok().map(Self::Policy),
            5 => {
                let (policy, group) = rest.split_at_checked(16)?;
                Some(Self::Assignment(PolicyId::from_slice(policy).ok()?, GroupId::from_slice(group).ok()?))
            }
            6 => GroupId::from_slice(rest).ok().map(Self::Group),
            7 => Some(Self::Device(u32::from_be_bytes(rest.try_into().ok()?))),
            8 => device().map(Self::Said),
            9 => device().map(Self::Facts),
            10 => Some(Self::Dues(u32::from_be_bytes(rest.try_into().ok()?))),
            11 => device().map(Self::Drifts),
            12 => device().map(Self::Stale),
            13 => rest.is_empty().then_some(Self::Latest),
            _ => None,
        }
    }
}

/// Ordinals as a row.
#[must_use]
pub fn encode_bitmap(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("writing to memory does not fail");
    bytes
}

/// Ordinals from a row or an event; no bytes are none.
///
/// # Errors
/// What is wrong with the bytes.
pub fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap, String> {
    if bytes.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    RoaringBitmap::deserialize_from(bytes).map_err(text)
}
