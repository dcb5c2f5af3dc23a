//! What the views keep in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | view | key | value |
//! |---|---|---|
//! | devices | `0x01`, number of the device (32 bits, big-endian) | [`DeviceRow`] |
//! | tokens | `0x02`, number of the token (32 bits, big-endian) | [`TokenRow`] |

use muster_proto::enroll::v1 as pb;
use muster_types::{DeviceId, Digest, TenantId, Timestamp, TokenId};
use prost::Message;

use crate::domain::enrollment::{ManagedBy, Outcome};
use crate::domain::onboarding_token::{Issued, Terms};
use crate::projection::devices::Device;
use crate::projection::tokens::Token;
use crate::wire;

/// First byte of a device's key.
const DEVICE: u8 = 1;
/// First byte of a token's key.
const TOKEN: u8 = 2;

/// Key of a device, by its place in the order of onboarding.
#[must_use]
pub fn device_key(number: u32) -> [u8; 5] {
    key(DEVICE, number)
}

/// Key of a token, by its place in the order of issue.
#[must_use]
pub fn token_key(number: u32) -> [u8; 5] {
    key(TOKEN, number)
}

/// The number in a key of either.
#[must_use]
pub fn number(key: &[u8]) -> Option<u32> {
    let [DEVICE | TOKEN, number @ ..] = key else { return None };
    Some(u32::from_be_bytes(number.try_into().ok()?))
}

fn key(kind: u8, number: u32) -> [u8; 5] {
    let mut key = [kind; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

#[derive(Clone, PartialEq, Message)]
struct DeviceRow {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    facts: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    facts_digest: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    key_digest: Vec<u8>,
    #[prost(uint32, tag = "6")]
    managed_by: u32,
    #[prost(uint32, tag = "7")]
    outcome: u32,
    #[prost(string, tag = "8")]
    reason: String,
    #[prost(string, tag = "9")]
    spiffe_id: String,
    #[prost(sint64, tag = "10")]
    onboard_micros: i64,
    #[prost(sint64, tag = "11")]
    facts_change_micros: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TokenRow {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    secret_hash: Vec<u8>,
    #[prost(sint64, tag = "4")]
    create_micros: i64,
    #[prost(sint64, tag = "5")]
    expire_micros: i64,
    #[prost(uint32, tag = "6")]
    uses_max: u32,
    #[prost(uint32, tag = "7")]
    uses: u32,
    #[prost(sint64, optional, tag = "8")]
    last_use_micros: Option<i64>,
    #[prost(sint64, optional, tag = "9")]
    revoke_micros: Option<i64>,
    #[prost(string, repeated, tag = "10")]
    tags: Vec<String>,
    #[prost(int32, repeated, tag = "11")]
    platforms: Vec<i32>,
    #[prost(string, tag = "12")]
    display_name: String,
}

/// A device as a row.
#[must_use]
pub fn encode_device(device: &Device) -> Vec<u8> {
    let Device {
        tenant,
        id,
        facts,
        facts_digest,
        key_digest,
        managed_by,
        outcome,
        reason,
        spiffe_id,
        onboard_time,
        facts_change_time,
    } = device;
    let row = DeviceRow {
        tenant: tenant.to_string(),
        id: id.as_bytes().to_vec(),
        facts: facts.to_vec(),
        facts_digest: facts_digest.to_vec(),
        key_digest: key_digest.to_vec(),
        managed_by: match managed_by {
            None => 0,
            Some(ManagedBy::Muster) => 1,
            Some(ManagedBy::Mdm) => 2,
            Some(ManagedBy::ConfigMgr) => 3,
            Some(ManagedBy::Nobody) => 4,
        },
        outcome: match outcome {
            Outcome::Pending => 1,
            Outcome::Succeeded => 2,
            Outcome::Refused => 3,
        },
        reason: reason.to_string(),
        spiffe_id: spiffe_id.to_string(),
        onboard_micros: onboard_time.micros(),
        facts_change_micros: facts_change_time.micros(),
    };
    row.encode_to_vec()
}

/// A device from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_device(value: &[u8]) -> Result<Device, String> {
    let row = DeviceRow::decode(value).map_err(text)?;
    Ok(Device {
        tenant: row.tenant.parse::<TenantId>().map_err(text)?,
        id: DeviceId::from_slice(&row.id).map_err(text)?,
        facts: row.facts.into(),
        facts_digest: digest(&row.facts_digest)?,
        key_digest: digest(&row.key_digest)?,
        managed_by: match row.managed_by {
            0 => None,
            1 => Some(ManagedBy::Muster),
            2 => Some(ManagedBy::Mdm),
            3 => Some(ManagedBy::ConfigMgr),
            4 => Some(ManagedBy::Nobody),
            other => return Err(format!("managed by {other}")),
        },
        outcome: match row.outcome {
            1 => Outcome::Pending,
            2 => Outcome::Succeeded,
            3 => Outcome::Refused,
            other => return Err(format!("outcome {other}")),
        },
        reason: row.reason.into(),
        spiffe_id: row.spiffe_id.into(),
        onboard_time: Timestamp::from_micros(row.onboard_micros),
        facts_change_time: Timestamp::from_micros(row.facts_change_micros),
    })
}

/// A token as a row.
#[must_use]
pub fn encode_token(token: &Token) -> Vec<u8> {
    let Token { tenant, id, issued } = token;
    let Issued { secret_hash, create_time, expire_time, terms, uses, last_use_time, revoke_time } = issued;
    let Terms { uses_max, tags, platforms, display_name } = terms;
    let row = TokenRow {
        tenant: tenant.to_string(),
        id: id.as_bytes().to_vec(),
        secret_hash: secret_hash.to_vec(),
        create_micros: create_time.micros(),
        expire_micros: expire_time.micros(),
        uses_max: *uses_max,
        uses: *uses,
        last_use_micros: last_use_time.map(Timestamp::micros),
        revoke_micros: revoke_time.map(Timestamp::micros),
        tags: tags.iter().map(ToString::to_string).collect(),
        platforms: platforms.iter().map(|it| pb::Platform::from(*it).into()).collect(),
        display_name: display_name.to_string(),
    };
    row.encode_to_vec()
}

/// A token from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_token(value: &[u8]) -> Result<Token, String> {
    let row = TokenRow::decode(value).map_err(text)?;
    Ok(Token {
        tenant: row.tenant.parse::<TenantId>().map_err(text)?,
        id: TokenId::from_slice(&row.id).map_err(text)?,
        issued: Issued {
            secret_hash: digest(&row.secret_hash)?,
            create_time: Timestamp::from_micros(row.create_micros),
            expire_time: Timestamp::from_micros(row.expire_micros),
            terms: Terms {
                uses_max: row.uses_max,
                tags: wire::tags(row.tags),
                platforms: wire::platforms(&row.platforms).map_err(text)?,
                display_name: row.display_name.into(),
            },
            uses: row.uses,
            last_use_time: row.last_use_micros.map(Timestamp::from_micros),
            revoke_time: row.revoke_micros.map(Timestamp::from_micros),
        },
    })
}

fn digest(bytes: &[u8]) -> Result<Digest, String> {
    bytes.try_into().map_err(|_| format!("expected 32 bytes, found {}", bytes.len()))
}

#[expect(clippy::needless_pass_by_value, reason = "takes what `map_err` gives")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_round_trip_and_sort_by_number(a: u32, b: u32) {
            prop_assert_eq!(number(&device_key(a)), Some(a));
            prop_assert_eq!(number(&token_key(a)), Some(a));
            prop_assert_eq!(device_key(a).cmp(&device_key(b)), a.cmp(&b));
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        assert!(decode_device(&[0xff]).is_err());
        assert!(decode_token(&[]).is_err());
        assert_eq!(number(&[9, 0, 0, 0, 1]), None);
    }
}
