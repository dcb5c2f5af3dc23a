//! The fields of a `StatusReported`, found without decoding what is in them.

use muster_proto::convert::moment;
use muster_types::{Digest, Timestamp};
use prost::Message as _;

use crate::wire::text;

/// What a `StatusReported` says, its settings as raw messages in the order told.
#[derive(Debug, Default)]
pub(super) struct Walked<'a> {
    pub(super) etag: Digest,
    pub(super) version: u64,
    pub(super) applied: Option<Timestamp>,
    pub(super) settings: Vec<&'a [u8]>,
    pub(super) refused: &'a str,
    /// Fields that this version does not know: a `StatusReported` of them alone.
    pub(super) unknown: Vec<u8>,
}

/// A field: its number, its contents, and all of it as it stands there.
struct Field<'a> {
    number: u64,
    value: Value<'a>,
    raw: &'a [u8],
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Value<'a> {
    fn bytes(self, field: &str) -> Result<&'a [u8], String> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(format!("{field}: is of another type")) }
    }
}

/// Walks a payload.
///
/// # Errors
/// What is wrong with the bytes.
pub(super) fn walk(payload: &[u8]) -> Result<Walked<'_>, String> {
    let (mut walked, mut etag, mut any, mut unknown) = (Walked::default(), None, false, Vec::new());
    let mut rest = payload;
    while let Some(field) = next(&mut rest)? {
        if field.number == 1 {
            any = true;
            status(field.value.bytes("status")?, &mut walked, &mut etag, &mut unknown)?;
        } else {
            walked.unknown.extend_from_slice(field.raw);
        }
    }
    if !any {
        return Err("status: must be set".to_owned());
    }
    if !unknown.is_empty() {
        walked.unknown.push(0x0a);
        prost::encode_length_delimiter(unknown.len(), &mut walked.unknown).map_err(text)?;
        walked.unknown.append(&mut unknown);
    }
    walked.etag = etag.ok_or("policy_etag: must be a SHA-256 digest: 32 bytes")?;
    Ok(walked)
}

fn status<'a>(
    mut rest: &'a [u8],
    walked: &mut Walked<'a>,
    etag: &mut Option<Digest>,
    unknown: &mut Vec<u8>,
) -> Result<(), String> {
    while let Some(Field { number, value, raw }) = next(&mut rest)? {
        match number {
            1 => *etag = value.bytes("policy_etag")?.try_into().ok(),
            2 => {
                let Value::Varint(version) = value else {
                    return Err("policy_version: is of another type".to_owned());
                };
                walked.version = version;
            }
            3 => {
                let time = prost_types::Timestamp::decode(value.bytes("apply_time")?).map_err(text)?;
                walked.applied = Some(moment(time));
            }
            4 => walked.settings.push(value.bytes("settings")?),
            5 => walked.refused = std::str::from_utf8(value.bytes("refused_reason")?).map_err(text)?,
            _ => unknown.extend_from_slice(raw),
        }
    }
    Ok(())
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Field<'a>>, String> {
    let all = *rest;
    if all.is_empty() {
        return Ok(None);
    }
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => fixed(rest, 8)?,
        2 => {
            let len = usize::try_from(varint(rest)?).map_err(text)?;
            let (value, after) = rest.split_at_checked(len).ok_or("a field ends too early")?;
            *rest = after;
            Value::Bytes(value)
        }
        5 => fixed(rest, 4)?,
        other => return Err(format!("{other} is no wire type of a field")),
    };
    Ok(Some(Field { number: key >> 3, value, raw: &all[..all.len() - rest.len()] }))
}

fn fixed<'a>(rest: &mut &[u8], len: usize) -> Result<Value<'a>, String> {
    *rest = rest.get(len..).ok_or("a field ends too early")?;
    Ok(Value::Fixed)
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (byte, after) = rest.split_first().ok_or("a number ends too early")?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number has more than ten bytes".to_owned())
}
