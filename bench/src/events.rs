//! Events such as the product writes: `StatusReported` of about 200 bytes, one stream a device.

use muster_eventlog::{Actor, Append, Context, EventType, NewEvent};
use muster_proto::policy::v1::SettingValue;
use muster_proto::policy::v1::setting_value::Kind;
use muster_proto::report::v1::{DeviceStatus, SettingStatus, StatusReported};
use muster_types::{Aggregate, DeviceId, EventId, StreamId, TenantId, Timestamp, Version};
use prost::Message as _;
use uuid::Uuid;

/// The stream of the n-th device.
pub(crate) fn stream(n: usize) -> StreamId {
    let id = muster_types::id::derive("bench-device", &[&n.to_be_bytes()]);
    StreamId::new(TenantId::DEFAULT, Aggregate::DeviceStatus, id)
}

/// The payload of the n-th event.
pub(crate) fn payload(n: usize) -> Vec<u8> {
    let value = |text: &str| Some(SettingValue { kind: Some(Kind::Text(text.to_owned())) });
    let setting = SettingStatus {
        id: "linux-antivirus/enforcement_level".to_owned(),
        desired: value("real_time"),
        observed: value("real_time"),
        state: 1,
        ..SettingStatus::default()
    };
    let status = DeviceStatus {
        policy_etag: vec![7; 32],
        policy_version: n as u64,
        settings: vec![
            setting.clone(),
            SettingStatus { id: "linux-antivirus/behavior_monitoring".to_owned(), ..setting },
        ],
        ..DeviceStatus::default()
    };
    StatusReported { status: Some(status) }.encode_to_vec()
}

/// The append of the n-th event of a run, at a version of its stream.
pub(crate) fn append(stream: StreamId, expected: Version, n: usize) -> Append {
    append_of(stream, expected, payload(n))
}

/// The append of one event, at a version of its stream.
pub(crate) fn append_of(stream: StreamId, expected: Version, payload: Vec<u8>) -> Append {
    let event = NewEvent {
        id: EventId::from_uuid(Uuid::new_v4()),
        kind: EventType::new("muster.report.v1.StatusReported"),
        payload: payload.into(),
    };
    let context = Context {
        actor: Actor::device(DeviceId::from_uuid(stream.id)),
        time: Timestamp::from_micros(1_780_000_000_000_000),
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    };
    Append { stream, expected, events: vec![event], context }
}
