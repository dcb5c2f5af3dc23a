//! A device as a row, and what identity said of one that is not here yet.

use muster_proto::convert::{moment, timestamp};
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::{DeviceId, EnrollmentCode, Timestamp};
use prost::Message;

use super::{digest, text};
use crate::domain::trouble::Trouble;
use crate::projection::devices::{Device, Rare, Trust};

#[derive(Clone, PartialEq, Message)]
struct DeviceRow {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    facts: Option<pb::DeviceFacts>,
    #[prost(bytes = "vec", tag = "4")]
    facts_digest: Vec<u8>,
    #[prost(enumeration = "pb::EnrollmentStatus", tag = "5")]
    status: i32,
    #[prost(string, tag = "6")]
    code: String,
    #[prost(string, tag = "7")]
    message: String,
    #[prost(enumeration = "pb::ManagedBy", tag = "8")]
    managed_by: i32,
    #[prost(sint64, tag = "9")]
    authority_change_micros: i64,
    #[prost(string, tag = "10")]
    spiffe_id: String,
    #[prost(sint64, tag = "11")]
    onboard_micros: i64,
    #[prost(sint64, tag = "12")]
    facts_change_micros: i64,
    #[prost(uint32, tag = "13")]
    heard_seconds: u32,
    #[prost(string, repeated, tag = "14")]
    tags: Vec<String>,
    #[prost(message, optional, tag = "15")]
    trust: Option<TrustRow>,
    #[prost(sint64, optional, tag = "16")]
    offboarding_expire_micros: Option<i64>,
    #[prost(message, repeated, tag = "17")]
    troubles: Vec<pb::Trouble>,
    #[prost(bytes = "vec", tag = "18")]
    merged_into: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TrustRow {
    #[prost(uint32, optional, tag = "1")]
    ordinal: Option<u32>,
    #[prost(enumeration = "RegistrationKind", tag = "2")]
    kind: i32,
    #[prost(string, tag = "3")]
    join_type: String,
}

/// A device as a row; when it was last seen counts as of enroll's own log alone.
#[must_use]
pub fn encode_device(device: Device) -> Vec<u8> {
    let Device {
        tenant,
        id,
        facts,
        facts_digest,
        status,
        code,
        message,
        managed_by,
        authority_change_time,
        spiffe_id,
        onboard_time,
        facts_change_time,
        device_type: _,
        last_seen,
        tags,
        trust,
        rare: Rare { offboarding_expire_time, troubles, merged_into },
    } = device;
    let row = DeviceRow {
        tenant: tenant.to_string(),
        id: id.as_bytes().to_vec(),
        facts: Some(facts),
        facts_digest: facts_digest.to_vec(),
        status: status.into(),
        code: code.as_str().to_owned(),
        message: message.into(),
        managed_by: managed_by.into(),
        authority_change_micros: authority_change_time.micros(),
        spiffe_id: spiffe_id.into(),
        onboard_micros: onboard_time.micros(),
        facts_change_micros: facts_change_time.micros(),
        heard_seconds: last_seen,
        tags: tags.into_iter().map(String::from).collect(),
        trust: Some(trust_row(&trust)),
        offboarding_expire_micros: offboarding_expire_time.map(Timestamp::micros),
        troubles: troubles.into_iter().map(encode_trouble).collect(),
        merged_into: merged_into.map_or_else(Vec::new, |into| into.as_bytes().to_vec()),
    };
    row.encode_to_vec()
}

/// A device from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_device(value: &[u8]) -> Result<Device, String> {
    let row = DeviceRow::decode(value).map_err(text)?;
    let (status, managed_by) = (row.status(), row.managed_by());
    let troubles: Result<Vec<_>, String> = row.troubles.into_iter().map(decode_trouble).collect();
    let into = Some(row.merged_into).filter(|into| !into.is_empty());
    Ok(Device {
        tenant: row.tenant.parse().map_err(text)?,
        id: DeviceId::from_slice(&row.id).map_err(text)?,
        facts: row.facts.ok_or("a device without facts")?,
        facts_digest: digest(&row.facts_digest)?,
        status,
        code: row.code.parse().map_err(text)?,
        message: row.message.into(),
        managed_by,
        authority_change_time: Timestamp::from_micros(row.authority_change_micros),
        spiffe_id: row.spiffe_id.into(),
        onboard_time: Timestamp::from_micros(row.onboard_micros),
        facts_change_time: Timestamp::from_micros(row.facts_change_micros),
        device_type: pb::DeviceType::Unspecified,
        last_seen: row.heard_seconds,
        tags: row.tags.into_iter().map(Box::from).collect(),
        trust: row.trust.map(trust).unwrap_or_default(),
        rare: Rare {
            offboarding_expire_time: row.offboarding_expire_micros.map(Timestamp::from_micros),
            troubles: troubles?.into(),
            merged_into: into.map(|into| DeviceId::from_slice(&into)).transpose().map_err(text)?,
        },
    })
}

/// What identity said of a device, as a row.
#[must_use]
pub fn encode_trust(trust: &Trust) -> Vec<u8> {
    trust_row(trust).encode_to_vec()
}

/// What identity said of a device, from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_trust(value: &[u8]) -> Result<Trust, String> {
    Ok(trust(TrustRow::decode(value).map_err(text)?))
}

fn trust_row(Trust { ordinal, kind, join_type }: &Trust) -> TrustRow {
    TrustRow { ordinal: *ordinal, kind: (*kind).into(), join_type: join_type.to_string() }
}

fn trust(row: TrustRow) -> Trust {
    Trust { ordinal: row.ordinal, kind: row.kind(), join_type: row.join_type.into() }
}

/// A trouble in the contract's words.
pub(crate) fn encode_trouble(trouble: Trouble) -> pb::Trouble {
    let Trouble { code, detail, first_time, last_time } = trouble;
    pb::Trouble {
        code: code.as_str().to_owned(),
        detail,
        first_time: first_time.map(timestamp),
        last_time: last_time.map(timestamp),
    }
}

fn decode_trouble(trouble: pb::Trouble) -> Result<Trouble, String> {
    let pb::Trouble { code, detail, first_time, last_time } = trouble;
    Ok(Trouble {
        code: code.parse::<EnrollmentCode>().map_err(text)?,
        detail,
        first_time: first_time.map(moment),
        last_time: last_time.map(moment),
    })
}
