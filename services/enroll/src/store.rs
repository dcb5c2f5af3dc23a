//! What the views keep in the store: keys, values. All of it can be thrown away and rebuilt from the log.
//!
//! | view | key | value |
//! |---|---|---|
//! | devices | `0x01`, number of the device (32 bits, big-endian) | the device |
//! | tokens | `0x02`, number of the token (32 bits, big-endian) | [`TokenRow`] |
//! | devices | `0x03`, number of a block of ordinals (32 bits, big-endian) | when they were last seen, 32 bits each |
//! | devices | `0x04`, id of a device that was trusted and not onboarded yet (16 bytes) | its trust |
//! | settings | `0x05`, tenant | its settings |

mod device;
mod settings;

use muster_proto::enroll::v1 as pb;
use muster_types::{DeviceId, Digest, TenantId, Timestamp, TokenId};
use prost::Message;

use crate::domain::onboarding_token::{Issued, Terms};
use crate::projection::tokens::Token;
use crate::wire;

pub(crate) use device::encode_trouble;
pub use device::{decode_device, decode_trust, encode_device, encode_trust};
pub use settings::{decode_settings, encode_settings};

/// A row of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A device, by its place in the order of onboarding.
    Device(u32),
    /// A token, by its place in the order of issue.
    Token(u32),
    /// When the devices of a block of ordinals were last seen.
    Seen(u32),
    /// What identity said of a device that was not onboarded yet.
    Early(DeviceId),
    /// A tenant's settings.
    Settings(TenantId),
}

const DEVICE: u8 = 1;
const TOKEN: u8 = 2;
const SEEN: u8 = 3;
const EARLY: u8 = 4;
const SETTINGS: u8 = 5;

/// Key of a device, by its place in the order of onboarding.
#[must_use]
pub fn device_key(number: u32) -> [u8; 5] {
    numbered(DEVICE, number)
}

/// Key of a token, by its place in the order of issue.
#[must_use]
pub fn token_key(number: u32) -> [u8; 5] {
    numbered(TOKEN, number)
}

/// Key of a block of ordinals.
#[must_use]
pub fn seen_key(block: u32) -> [u8; 5] {
    numbered(SEEN, block)
}

/// Key of a device that was trusted and not onboarded yet.
#[must_use]
pub fn early_key(id: DeviceId) -> [u8; 17] {
    let mut key = [EARLY; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// Key of a tenant's settings.
#[must_use]
pub fn settings_key(tenant: TenantId) -> Vec<u8> {
    [&[SETTINGS], tenant.as_str().as_bytes()].concat()
}

/// Reads any of them.
#[must_use]
pub fn read_key(key: &[u8]) -> Option<Key> {
    let (kind, rest) = key.split_first()?;
    let number = || Some(u32::from_be_bytes(rest.try_into().ok()?));
    match *kind {
        DEVICE => Some(Key::Device(number()?)),
        TOKEN => Some(Key::Token(number()?)),
        SEEN => Some(Key::Seen(number()?)),
        EARLY => Some(Key::Early(DeviceId::from_slice(rest).ok()?)),
        SETTINGS => Some(Key::Settings(std::str::from_utf8(rest).ok()?.parse().ok()?)),
        _ => None,
    }
}

fn numbered(kind: u8, number: u32) -> [u8; 5] {
    let mut key = [kind; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
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
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn keys_round_trip_and_sort_by_number(a: u32, b: u32) {
            prop_assert_eq!(read_key(&device_key(a)), Some(Key::Device(a)));
            prop_assert_eq!(read_key(&token_key(a)), Some(Key::Token(a)));
            prop_assert_eq!(read_key(&seen_key(a)), Some(Key::Seen(a)));
            let id = DeviceId::from_uuid(Uuid::from_u128(u128::from(b)));
            prop_assert_eq!(read_key(&early_key(id)), Some(Key::Early(id)));
            prop_assert_eq!(device_key(a).cmp(&device_key(b)), a.cmp(&b));
        }
    }

    #[test]
    fn what_is_no_row_is_told() {
        assert_eq!(read_key(&settings_key(TenantId::DEFAULT)), Some(Key::Settings(TenantId::DEFAULT)));
        assert!(decode_device(&[0xff]).is_err());
        assert!(decode_token(&[]).is_err());
        assert_eq!(read_key(&[9, 0, 0, 0, 1]), None);
        assert_eq!(read_key(&[1, 0, 0, 1]), None);
    }
}
