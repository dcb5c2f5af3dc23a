//! Requests that are small on the wire and large in memory, refused before they are decoded.
//!
//! An empty entry takes two bytes of a message and some hundred in memory: the limit of a request's size alone would let a
//! device ask for hundreds of megabytes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use muster_errors::{ErrorCode, Fault};
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use super::DEVICE_REQUEST_BYTES_MAX;
use crate::domain::device_status::SETTINGS_MAX;

/// Most entries of lists and fields of objects in the values of a report.
pub(super) const VALUE_ENTRIES_MAX: usize = 100_000;
/// Flag and length before a message.
const HEADER_BYTES: usize = 5;
/// Values within values; deeper than the decoder goes.
const DEPTH_MAX: u8 = 32;

/// A service of devices whose requests are looked at first.
#[derive(Debug, Clone)]
pub(super) struct Bounded<S>(pub(super) S);

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Bounded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The one that is ready is called, and a copy stays.
        let next = self.0.clone();
        let mut service = std::mem::replace(&mut self.0, next);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match read(body).await {
                Ok(bytes) => {
                    service.call(http::Request::from_parts(parts, Body::new(Full::new(bytes)))).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

async fn read(body: Body) -> Result<Bytes, Status> {
    let collected = Limited::new(body, DEVICE_REQUEST_BYTES_MAX + HEADER_BYTES).collect().await;
    let bytes = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let message = format!("a report has at most {DEVICE_REQUEST_BYTES_MAX} bytes");
            return Fault::new(ErrorCode::MessageTooLarge, message).into();
        }
        Status::unavailable("the request broke off")
    })?;
    let bytes = bytes.to_bytes();
    look(bytes.get(HEADER_BYTES..).unwrap_or_default()).map_err(Status::from)?;
    Ok(bytes)
}

/// Looks whether a request would be large once decoded. What cannot be read is for the decoder to refuse.
pub(super) fn look(message: &[u8]) -> Result<(), Fault> {
    let invalid = |field: &str, max: usize| {
        let problem = format!("at most {max}");
        Fault::new(ErrorCode::ReportInvalid, format!("{field}: {problem}")).with_field(field, problem)
    };
    let (mut settings, mut entries) = (0, 0);
    for status in within(message, &[1]) {
        for setting in within(status, &[4]) {
            settings += 1;
            if settings > SETTINGS_MAX {
                return Err(invalid("status.settings", SETTINGS_MAX));
            }
            for value in within(setting, &[2, 3]) {
                entries += value_entries(value, DEPTH_MAX);
                if entries > VALUE_ENTRIES_MAX {
                    return Err(invalid("status.settings.observed", VALUE_ENTRIES_MAX));
                }
            }
        }
    }
    Ok(())
}

/// Entries of the lists in a value, and fields of its objects.
fn value_entries(value: &[u8], depth: u8) -> usize {
    let Some(depth) = depth.checked_sub(1) else { return 0 };
    let strings = within(value, &[4]).flat_map(|list| within(list, &[1])).count();
    let objects = within(value, &[5]).flat_map(|list| within(list, &[1]));
    let of_object = |object| {
        let of_field = |field| within(field, &[2]).map(|value| value_entries(value, depth)).sum::<usize>();
        within(object, &[1]).map(|field| 1 + of_field(field)).sum::<usize>()
    };
    strings + objects.map(|object| 1 + of_object(object)).sum::<usize>()
}

/// The bytes of the fields of a message with these numbers, up to what cannot be read.
fn within<'a>(mut message: &'a [u8], numbers: &'static [u32]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        loop {
            let (number, wire_type) = decode_key(&mut message).ok()?;
            let len = match wire_type {
                WireType::Varint => {
                    decode_varint(&mut message).ok()?;
                    0
                }
                WireType::ThirtyTwoBit => 4,
                WireType::SixtyFourBit => 8,
                WireType::LengthDelimited => usize::try_from(decode_varint(&mut message).ok()?).ok()?,
                WireType::StartGroup | WireType::EndGroup => return None,
            };
            let (field, rest) = message.split_at_checked(len)?;
            message = rest;
            if wire_type == WireType::LengthDelimited && numbers.contains(&number) {
                return Some(field);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use muster_proto::policy::v1 as policy;
    use muster_proto::policy::v1::setting_value::Kind;
    use muster_proto::report::v1 as pb;
    use prost::Message as _;

    use super::*;

    fn request(settings: Vec<pb::SettingStatus>) -> Vec<u8> {
        let status = pb::DeviceStatus { settings, ..Default::default() };
        pb::ReportStatusRequest { status: Some(status) }.encode_to_vec()
    }

    fn field(message: &[u8]) -> Option<String> {
        look(message).err().map(|fault| fault.fields[0].field.clone())
    }

    fn setting(kind: Kind) -> pb::SettingStatus {
        pb::SettingStatus { observed: Some(policy::SettingValue { kind: Some(kind) }), ..Default::default() }
    }

    #[test]
    fn a_million_empty_settings_are_refused_before_they_are_decoded() {
        let many = request(vec![pb::SettingStatus::default(); 1_000_000]);
        assert!(many.len() < DEVICE_REQUEST_BYTES_MAX);
        assert_eq!(field(&many).as_deref(), Some("status.settings"));
        assert_eq!(field(&request(vec![pb::SettingStatus::default(); SETTINGS_MAX])), None);
    }

    #[test]
    fn values_of_many_empty_parts_are_refused_wherever_they_stand() {
        let strings = |n| Kind::Strings(policy::StringList { values: vec![String::new(); n] });
        let objects = |values| Kind::Objects(policy::ObjectList { values });
        let of_strings = policy::ObjectField {
            name: String::new(),
            value: Some(policy::SettingValue { kind: Some(strings(VALUE_ENTRIES_MAX)) }),
        };
        let large = [
            strings(VALUE_ENTRIES_MAX + 1),
            objects(vec![policy::Object::default(); VALUE_ENTRIES_MAX + 1]),
            objects(vec![policy::Object { fields: vec![policy::ObjectField::default(); VALUE_ENTRIES_MAX] }]),
            objects(vec![policy::Object { fields: vec![of_strings] }]),
        ];
        for kind in large {
            assert_eq!(field(&request(vec![setting(kind)])).as_deref(), Some("status.settings.observed"));
        }
        assert_eq!(field(&request(vec![setting(strings(VALUE_ENTRIES_MAX))])), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_decoder() {
        for bytes in [&b""[..], b"\xff", b"\x0a\xff\xff\xff\xff\x7f", b"\x0b\x0b", b"\x00\x00\x00"] {
            assert_eq!(field(bytes), None);
        }
        let good = request(vec![setting(Kind::Boolean(true)); 9]);
        (0..good.len()).for_each(|end| assert_eq!(field(&good[..end]), None));
    }
}
