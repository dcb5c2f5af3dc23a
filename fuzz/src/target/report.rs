//! What a device says of each setting, up to the events.

use muster_eventlog::command::State as _;
use muster_proto::policy::v1::SettingValue;
use muster_proto::policy::v1::setting_value::Kind;
use muster_proto::report::v1 as pb;
use muster_report::domain::device_status::{
    Command, DeviceStatus, Event, SETTINGS_MAX, SUSPICIONS_PER_REPORT_MAX, Statement, Status,
};
use muster_report::wire;
use prost::Message as _;

const DRIFT_AFTER: u32 = 3;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(pb::ReportStatusRequest { status: Some(message) }) = pb::ReportStatusRequest::decode(bytes) else {
        return false;
    };
    let Ok(said) = Statement::try_from(message) else { return false };
    let again = Status::try_from(pb::DeviceStatus::from(said.status()));
    assert_eq!(again.as_ref(), Ok(said.status()), "a status that changes on its way");
    let command = Command::Report { said: said.clone(), drift_after: DRIFT_AFTER };
    let mut state = DeviceStatus::default();
    let Ok(events) = state.decide(&command) else { return false };
    assert!(events.len() <= 1 + SUSPICIONS_PER_REPORT_MAX, "an append without end");
    for event in &events {
        let (_, payload) = DeviceStatus::encode(event);
        if let Event::Reported { said } = event {
            assert!(said.status().settings.len() <= SETTINGS_MAX, "a status without end");
            assert_eq!(wire::status(&payload).as_ref(), Ok(said.status()), "an event of something else");
        }
        assert!(payload.len() <= 2 * bytes.len() + 256, "{} bytes of {}", payload.len(), bytes.len());
        state.evolve(event);
    }
    assert_eq!(state.digest, Some(said.digest()));
    let repeated = state.decide(&command);
    assert!(
        repeated.is_ok_and(|events| !events.iter().any(|event| matches!(event, Event::Reported { .. }))),
        "the same again is an event"
    );
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let value = |kind| Some(SettingValue { kind: Some(kind) });
    let setting = |name: &str, state: pb::SettingState| pb::SettingStatus {
        id: format!("linux-antivirus/{name}"),
        desired: value(Kind::Text("real_time".to_owned())),
        observed: value(Kind::Integer(2)),
        state: state.into(),
        corrections: 3,
        ..Default::default()
    };
    let status = |settings| pb::DeviceStatus {
        policy_etag: vec![7; 32],
        policy_version: 3,
        apply_time: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 5 }),
        settings,
        refused_reason: String::new(),
    };
    let failed = pb::SettingStatus {
        reason: "APPLY_FAILED".to_owned(),
        message: "no".to_owned(),
        ..setting("b", pb::SettingState::Error)
    };
    let some = status(vec![setting("a", pb::SettingState::Succeeded), failed]);
    let many = status((0..9).map(|n| setting(&format!("s{n}"), pb::SettingState::Waived)).collect());
    let refused = pb::DeviceStatus { refused_reason: "POLICY_EXPIRED".to_owned(), ..status(vec![]) };
    let empty = pb::DeviceStatus::default();
    let request = |status| pb::ReportStatusRequest { status: Some(status) }.encode_to_vec();
    [some, many, refused, empty].map(request).to_vec()
}
