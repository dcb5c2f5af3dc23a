//! What the view keeps in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | key | value |
//! |---|---|
//! | `0x01`, ordinal (32 bits, big-endian) | the device's id, and a byte: 1 when it is gone |
//! | `0x02`, device | [`ReportRow`] |
//! | `0x03`, policy | [`PolicyRow`] |
//! | `0x04`, policy, group | 1 include, 2 exclude |
//! | `0x05`, group | ordinals: a roaring bitmap, portable |
//! | `0x06`, device | its platform: 1 Linux, 2 macOS, 3 Windows |

use muster_catalog::Platform;
use muster_types::{DeviceId, GroupId, PolicyId, TenantId, Timestamp};
use prost::Message;
use roaring::RoaringBitmap;

use crate::projection::standings::{Intent, Policy, Report};
use crate::wire::text;

/// Key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The device with an ordinal.
    Device(u32),
    /// What a device last said.
    Report(DeviceId),
    /// A policy.
    Policy(PolicyId),
    /// An assignment.
    Assignment(PolicyId, GroupId),
    /// A group's members.
    Group(GroupId),
    /// A device's platform.
    Platform(DeviceId),
}

impl Key {
    /// The key as it stands in the store.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Device(ordinal) => [&[1], &ordinal.to_be_bytes()[..]].concat(),
            Self::Report(device) => [&[2], &device.as_bytes()[..]].concat(),
            Self::Policy(policy) => [&[3], &policy.as_bytes()[..]].concat(),
            Self::Assignment(policy, group) => [&[4], &policy.as_bytes()[..], &group.as_bytes()[..]].concat(),
            Self::Group(group) => [&[5], &group.as_bytes()[..]].concat(),
            Self::Platform(device) => [&[6], &device.as_bytes()[..]].concat(),
        }
    }

    /// The key that stands in the store.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            1 => Some(Self::Device(u32::from_be_bytes(rest.try_into().ok()?))),
            2 => DeviceId::from_slice(rest).ok().map(Self::Report),
            3 => PolicyId::from_slice(rest).ok().map(Self::Policy),
            4 => {
                let (policy, group) = rest.split_at_checked(16)?;
                Some(Self::Assignment(PolicyId::from_slice(policy).ok()?, GroupId::from_slice(group).ok()?))
            }
            5 => GroupId::from_slice(rest).ok().map(Self::Group),
            6 => DeviceId::from_slice(rest).ok().map(Self::Platform),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct ReportRow {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(bytes = "vec", tag = "2")]
    payload: Vec<u8>,
    #[prost(sint64, tag = "3")]
    micros: i64,
}

#[derive(Clone, PartialEq, Message)]
struct PolicyRow {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, repeated, tag = "2")]
    settings: Vec<String>,
    #[prost(bytes = "vec", tag = "3")]
    platform: Vec<u8>,
    #[prost(bool, tag = "4")]
    deleted: bool,
}

/// A device as a row.
#[must_use]
pub fn encode_device(device: DeviceId, gone: bool) -> Vec<u8> {
    [&device.as_bytes()[..], &[u8::from(gone)]].concat()
}

/// A device from its row, and whether it is gone.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_device(value: &[u8]) -> Result<(DeviceId, bool), String> {
    let (gone, device) = value.split_last().ok_or("an empty row")?;
    Ok((DeviceId::from_slice(device).map_err(text)?, *gone == 1))
}

/// A report as a row.
#[must_use]
pub fn encode_report(report: &Report) -> Vec<u8> {
    let Report { tenant, payload, time } = report;
    ReportRow { tenant: tenant.to_string(), payload: payload.to_vec(), micros: time.micros() }.encode_to_vec()
}

/// A report from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_report(value: &[u8]) -> Result<Report, String> {
    let ReportRow { tenant, payload, micros } = ReportRow::decode(value).map_err(text)?;
    Ok(Report {
        tenant: tenant.parse::<TenantId>().map_err(text)?,
        payload: payload.into(),
        time: Timestamp::from_micros(micros),
    })
}

/// A policy as a row.
#[must_use]
pub fn encode_policy(policy: &Policy) -> Vec<u8> {
    let Policy { tenant, settings, platform, deleted } = policy;
    let settings = settings.iter().map(ToString::to_string).collect();
    let platform = platform.map(encode_platform).unwrap_or_default();
    PolicyRow { tenant: tenant.to_string(), settings, platform, deleted: *deleted }.encode_to_vec()
}

/// A policy from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_policy(value: &[u8]) -> Result<Policy, String> {
    let PolicyRow { tenant, settings, platform, deleted } = PolicyRow::decode(value).map_err(text)?;
    let settings = settings.iter().map(|id| id.parse().map_err(text));
    Ok(Policy {
        tenant: tenant.parse().map_err(text)?,
        settings: settings.collect::<Result<_, _>>()?,
        platform: if platform.is_empty() { None } else { Some(decode_platform(&platform)?) },
        deleted,
    })
}

/// A platform as a row.
#[must_use]
pub fn encode_platform(platform: Platform) -> Vec<u8> {
    vec![match platform {
        Platform::Linux => 1,
        Platform::Macos => 2,
        Platform::Windows => 3,
    }]
}

/// A platform from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_platform(value: &[u8]) -> Result<Platform, String> {
    match value {
        [1] => Ok(Platform::Linux),
        [2] => Ok(Platform::Macos),
        [3] => Ok(Platform::Windows),
        other => Err(format!("{other:?} is no platform")),
    }
}

/// An intent as a row.
#[must_use]
pub fn encode_intent(intent: Intent) -> Vec<u8> {
    vec![match intent {
        Intent::Include => 1,
        Intent::Exclude => 2,
    }]
}

/// An intent from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_intent(value: &[u8]) -> Result<Intent, String> {
    match value {
        [1] => Ok(Intent::Include),
        [2] => Ok(Intent::Exclude),
        other => Err(format!("{other:?} is no intent")),
    }
}

/// Members as a row.
#[must_use]
pub fn encode_bitmap(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("writing to memory does not fail");
    bytes
}

/// Members from a row or an event; no bytes are none.
///
/// # Errors
/// What is wrong with the bytes.
pub fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap, String> {
    if bytes.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    RoaringBitmap::deserialize_from(bytes).map_err(text)
}
