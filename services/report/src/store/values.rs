//! The values of rows.

use muster_catalog::Platform;
use muster_types::{DeviceId, TenantId};
use prost::Message;

use crate::projection::standings::{Drift, Intent, Policy};
use crate::wire::text;

/// What a device last said.
#[derive(Clone, PartialEq, Message)]
pub struct SaidRow {
    /// Its tenant.
    #[prost(string, tag = "1")]
    pub tenant: String,
    /// Content of the list of what it said of each setting.
    #[prost(bytes = "vec", tag = "2")]
    pub list: Vec<u8>,
    /// Etag of the policy it spoke of.
    #[prost(bytes = "vec", tag = "3")]
    pub etag: Vec<u8>,
    /// Version of that policy.
    #[prost(uint64, tag = "4")]
    pub version: u64,
    /// When it had applied it, as it said.
    #[prost(sint64, optional, tag = "5")]
    pub applied: Option<i64>,
    /// Code of a refusal.
    #[prost(string, tag = "6")]
    pub refused: String,
    /// When it was taken in.
    #[prost(sint64, tag = "7")]
    pub time: i64,
    /// Position of the event.
    #[prost(uint64, tag = "8")]
    pub position: u64,
    /// When the device first spoke of the etag.
    #[prost(sint64, tag = "9")]
    pub first: i64,
    /// When all was well under the etag for the first time.
    #[prost(sint64, optional, tag = "10")]
    pub well: Option<i64>,
    /// Fields that this version does not know.
    #[prost(bytes = "vec", tag = "11")]
    pub unknown: Vec<u8>,
}

/// What people know a device by.
#[derive(Clone, PartialEq, Message)]
pub struct FactsRow {
    /// Its tenant.
    #[prost(string, tag = "1")]
    pub tenant: String,
    /// Host name.
    #[prost(string, tag = "2")]
    pub host: String,
    /// Platform as a row has it; empty when none was told.
    #[prost(bytes = "vec", tag = "3")]
    pub platform: Vec<u8>,
    /// Version of the operating system.
    #[prost(string, tag = "4")]
    pub os_version: String,
    /// Maker of the machine.
    #[prost(string, tag = "5")]
    pub maker: String,
    /// Model of the machine.
    #[prost(string, tag = "6")]
    pub model: String,
}

/// What is suspected to be worked against.
#[derive(Clone, PartialEq, Message)]
pub struct DriftsRow {
    /// Each setting, sorted by id.
    #[prost(message, repeated, tag = "1")]
    pub drifts: Vec<DriftRow>,
}

/// A setting that seems to be worked against.
#[derive(Clone, PartialEq, Message)]
pub struct DriftRow {
    /// The setting.
    #[prost(string, tag = "1")]
    pub setting: String,
    /// How often it was put back.
    #[prost(uint32, tag = "2")]
    pub corrections: u32,
    /// Etag of the policy in force.
    #[prost(bytes = "vec", tag = "3")]
    pub etag: Vec<u8>,
}

/// A policy.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PolicyRow {
    /// Its tenant.
    #[prost(string, tag = "1")]
    pub tenant: String,
    /// Its settings, sorted.
    #[prost(string, repeated, tag = "2")]
    pub settings: Vec<String>,
    /// Its profile.
    #[prost(string, tag = "3")]
    pub profile: String,
    /// Whether it is deleted.
    #[prost(bool, tag = "4")]
    pub deleted: bool,
    /// Its name for people.
    #[prost(string, tag = "5")]
    pub display_name: String,
    /// Its latest revision.
    #[prost(uint64, tag = "6")]
    pub revision: u64,
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

/// A device of a tenant as a row.
#[must_use]
pub fn encode_trusted(device: DeviceId, gone: bool, tenant: TenantId) -> Vec<u8> {
    [&encode_device(device, gone)[..], tenant.as_str().as_bytes()].concat()
}

/// A device from its row, whether it is gone, and its tenant.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_trusted(value: &[u8]) -> Result<(DeviceId, bool, TenantId), String> {
    let (device, tenant) = value.split_at_checked(17).ok_or("a device that is cut off")?;
    let (device, gone) = decode_device(device)?;
    Ok((device, gone, std::str::from_utf8(tenant).map_err(text)?.parse().map_err(text)?))
}

/// Suspicions as a row.
#[must_use]
pub fn encode_drifts(drifts: &[Drift]) -> Vec<u8> {
    let drifts = drifts.iter().map(|Drift { setting, corrections, etag }| DriftRow {
        setting: setting.to_string(),
        corrections: *corrections,
        etag: etag.to_vec(),
    });
    DriftsRow { drifts: drifts.collect() }.encode_to_vec()
}

/// Suspicions from their row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_drifts(value: &[u8]) -> Result<Vec<Drift>, String> {
    let DriftsRow { drifts } = DriftsRow::decode(value).map_err(text)?;
    let drift = |DriftRow { setting, corrections, etag }: DriftRow| {
        let etag = etag.try_into().map_err(|_| "an etag that is cut off")?;
        Ok(Drift { setting: setting.parse().map_err(text)?, corrections, etag })
    };
    drifts.into_iter().map(drift).collect()
}

/// A policy as a row.
#[must_use]
pub fn encode_policy(policy: &Policy) -> Vec<u8> {
    let Policy { tenant, display_name, profile, revision, settings, deleted } = policy;
    PolicyRow {
        tenant: tenant.to_string(),
        settings: settings.iter().map(ToString::to_string).collect(),
        profile: profile.clone(),
        deleted: *deleted,
        display_name: display_name.clone(),
        revision: *revision,
    }
    .encode_to_vec()
}

/// A policy from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_policy(value: &[u8]) -> Result<Policy, String> {
    let PolicyRow { tenant, settings, profile, deleted, display_name, revision } =
        PolicyRow::decode(value).map_err(text)?;
    let settings = settings.iter().map(|id| id.parse().map_err(text));
    Ok(Policy {
        tenant: tenant.parse().map_err(text)?,
        display_name,
        profile,
        revision,
        settings: settings.collect::<Result<_, _>>()?,
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
