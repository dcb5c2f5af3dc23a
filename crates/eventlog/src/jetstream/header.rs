//! An event as a NATS message: CloudEvents 1.0 in binary mode, attributes as lower-case headers, payload as body.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use async_nats::header::{
    HeaderMap, HeaderName, HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID,
};
use bytes::Bytes;
use muster_types::{Digest, EventId, StreamId, Timestamp, Version};
use uuid::Uuid;

use crate::{Actor, Context, Envelope, EventType};

const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
const ID: HeaderName = HeaderName::from_static("ce-id");
const TYPE: HeaderName = HeaderName::from_static("ce-type");
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
const SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const TIME: HeaderName = HeaderName::from_static("ce-time");
const SEQUENCE: HeaderName = HeaderName::from_static("ce-sequence");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("ce-datacontenttype");
const CORRELATION: HeaderName = HeaderName::from_static("ce-correlationid");
const CAUSATION: HeaderName = HeaderName::from_static("ce-causationid");
const ACTOR: HeaderName = HeaderName::from_static("ce-actor");
const PREVIOUS: HeaderName = HeaderName::from_static("ce-prevhash");
const TRACE: HeaderName = HeaderName::from_static("traceparent");

/// The headers of an event. `expected` is the last sequence of its subject; none inside a batch that already wrote
/// to that subject.
pub(super) fn encode(event: &Envelope, expected: Option<u64>) -> HeaderMap {
    let Envelope { position: _, event_id, stream, version, kind, context, prev_hash, payload: _ } = event;
    let Context { actor, time, correlation_id, causation_id, traceparent } = context;
    let mut uuid = Uuid::encode_buffer();
    let mut headers = HeaderMap::new();
    let id: &str = event_id.uuid().hyphenated().encode_lower(&mut uuid);
    headers.insert(NATS_MESSAGE_ID, id);
    headers.insert(ID, id);
    if let Some(expected) = expected {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected));
    }
    headers.insert(SPEC_VERSION, "1.0");
    headers.insert(CONTENT_TYPE, "application/protobuf");
    headers.insert(TYPE, &*escape(kind.as_str()));
    headers.insert(SOURCE, format!("/muster/{}", stream.service()));
    headers.insert(SUBJECT, format!("{}/{}", stream.aggregate, stream.id));
    headers.insert(TIME, time.to_string());
    headers.insert(SEQUENCE, HeaderValue::from(version.0));
    headers.insert(CORRELATION, &*correlation_id.hyphenated().encode_lower(&mut uuid));
    if let Some(causation) = causation_id {
        headers.insert(CAUSATION, &*causation.uuid().hyphenated().encode_lower(&mut uuid));
    }
    headers.insert(ACTOR, &*escape(actor.as_str()));
    headers.insert(PREVIOUS, hex(prev_hash));
    if let Some(trace) = traceparent {
        headers.insert(TRACE, &*escape(trace));
    }
    headers
}

/// Reads an event back from its message.
///
/// # Errors
/// A description of what is missing or malformed.
pub(super) fn decode(
    subject: &str,
    position: u64,
    headers: &HeaderMap,
    payload: Bytes,
) -> Result<Envelope, String> {
    let optional = |name: &HeaderName| headers.get(name.clone()).map(HeaderValue::as_str);
    let required = |name: &HeaderName| optional(name).ok_or_else(|| format!("header {name} is missing"));
    let time = required(&TIME)?;
    Ok(Envelope {
        position,
        event_id: EventId::from_uuid(parse(&ID, required(&ID)?)?),
        stream: StreamId::from_subject(subject).map_err(|error| error.to_string())?,
        version: Version(parse(&SEQUENCE, required(&SEQUENCE)?)?),
        kind: EventType::new(unescape(&TYPE, required(&TYPE)?)?),
        context: Context {
            actor: Actor::from_log(unescape(&ACTOR, required(&ACTOR)?)?),
            time: Timestamp::from_micros(parse::<jiff::Timestamp>(&TIME, time)?.as_microsecond()),
            correlation_id: parse(&CORRELATION, required(&CORRELATION)?)?,
            causation_id: optional(&CAUSATION)
                .map(|text| parse(&CAUSATION, text).map(EventId::from_uuid))
                .transpose()?,
            traceparent: optional(&TRACE).map(|text| unescape(&TRACE, text)).transpose()?,
        },
        prev_hash: unhex(required(&PREVIOUS)?)
            .ok_or_else(|| format!("header {PREVIOUS} is not a SHA-256 in hex"))?,
        payload,
    })
}

/// Sequence of the message before this one on the same subject (0: there is none), as the message itself tells.
pub(super) fn sequence_before(position: u64, headers: &HeaderMap) -> Option<u64> {
    match headers.get(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE) {
        Some(expected) => expected.as_str().parse().ok(),
        // Without an expectation it stands in a batch, right after another event of its stream.
        None => position.checked_sub(1),
    }
}

fn parse<T: FromStr>(name: &HeaderName, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| {
        let start: String = text.chars().take(64).collect();
        format!("header {name} is malformed: {start:?}")
    })
}

const fn plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%'
}

/// Percent-encodes what CloudEvents does not allow in a header: space, `"`, `%` and all but printable ASCII.
fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if plain(byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    Cow::Owned(escaped)
}

fn unescape(name: &HeaderName, text: &str) -> Result<Arc<str>, String> {
    if !text.contains('%') {
        return Ok(text.into());
    }
    let malformed = || format!("header {name} is not percent-encoded");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            match (rest.next().and_then(nibble), rest.next().and_then(nibble)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(malformed()),
            }
        } else {
            byte
        });
    }
    String::from_utf8(bytes).map(Into::into).map_err(|_| malformed())
}

fn hex(digest: &Digest) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in digest {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn unhex(text: &str) -> Option<Digest> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use muster_types::{Aggregate, TenantId};

    use super::*;

    fn event() -> Envelope {
        Envelope {
            position: 9,
            event_id: EventId::from_uuid(Uuid::from_u128(1)),
            stream: StreamId::new(TenantId::DEFAULT, Aggregate::Policy, Uuid::from_u128(2)),
            version: Version(3),
            kind: EventType::new("muster.policy.v1.PolicyRevised"),
            context: Context {
                actor: Actor::admin("Åsa \"100%\"\r\n"),
                time: Timestamp::from_micros(1_700_000_000_000_001),
                correlation_id: Uuid::from_u128(4),
                causation_id: Some(EventId::from_uuid(Uuid::from_u128(5))),
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            },
            prev_hash: [0xa6; 32],
            payload: Bytes::from_static(&[0, 255, 1]),
        }
    }

    fn round_trip(event: &Envelope, headers: &HeaderMap) -> Result<Envelope, String> {
        decode(&event.stream.subject(), event.position, headers, event.payload.clone())
    }

    #[test]
    fn an_event_survives_the_wire_with_its_hash() {
        let event = event();
        let back = round_trip(&event, &encode(&event, Some(7))).expect("reads back");
        assert_eq!((back.hash(), &back), (event.hash(), &event));
    }

    #[test]
    fn headers_are_cloud_events_in_binary_mode() {
        let headers = encode(&event(), Some(7));
        let text = |name: &'static str| headers.get(HeaderName::from_static(name)).map(HeaderValue::as_str);
        assert_eq!(text("ce-specversion"), Some("1.0"));
        assert_eq!(text("ce-id"), text("Nats-Msg-Id"));
        assert_eq!(text("ce-source"), Some("/muster/policy"));
        assert_eq!(text("ce-subject"), Some("policy/00000000-0000-0000-0000-000000000002"));
        assert_eq!(text("ce-sequence"), Some("3"));
        assert_eq!(text("ce-time"), Some("2023-11-14T22:13:20.000001Z"));
        assert_eq!(text("ce-actor"), Some("admin:%C3%85sa%20%22100%25%22%0D%0A"));
        assert_eq!(text("Nats-Expected-Last-Subject-Sequence"), Some("7"));
    }

    #[test]
    fn a_missing_or_malformed_header_is_named() {
        let event = event();
        let mut headers = encode(&event, None);
        headers.insert(PREVIOUS, "zz");
        assert!(round_trip(&event, &headers).is_err_and(|reason| reason.contains("ce-prevhash")));
        assert!(round_trip(&event, &HeaderMap::new()).is_err_and(|reason| reason.contains("ce-time")));
    }

    #[test]
    fn a_message_tells_where_the_one_before_it_is() {
        assert_eq!(sequence_before(9, &encode(&event(), Some(4))), Some(4));
        assert_eq!(sequence_before(9, &encode(&event(), None)), Some(8));
    }
}
