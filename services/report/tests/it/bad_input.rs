//! What devices should not say: refused with its place, or kept and not believed, and never the end of the service.

use muster_errors::ErrorCode;
use muster_eventlog::Envelope;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::device_report_service_server::DeviceReportService as _;
use muster_proto::report::v1::report_service_server::ReportService as _;
use muster_runtime::Caller;
use muster_runtime::position::MIN_POSITION;
use muster_types::{Aggregate, DeviceId, ResourceName, StreamId, Version};
use prost::Message as _;
use prost_types::Timestamp;
use tonic::Request;
use uuid::Uuid;

use crate::reporting::{Service, TENANT, as_admin, device, refusal, status};

fn invalid(field: &str) -> (ErrorCode, String) {
    (ErrorCode::ReportInvalid, field.to_owned())
}

fn setting(id: &str) -> pb::SettingStatus {
    pb::SettingStatus { id: id.to_owned(), state: pb::SettingState::Succeeded.into(), ..Default::default() }
}

fn with(settings: Vec<pb::SettingStatus>) -> pb::DeviceStatus {
    pb::DeviceStatus { settings, ..status(pb::SettingState::Succeeded) }
}

impl Service {
    async fn events(&self, device: DeviceId) -> Vec<Envelope> {
        let stream = StreamId::new(TENANT, Aggregate::DeviceStatus, device.uuid());
        self.log.read(stream, Version::NONE).await.unwrap()
    }

    /// What an admin is shown of the device.
    async fn shown(&self) -> pb::DeviceReport {
        let position = self.log.head(muster_types::Service::Report).await.unwrap();
        let name = ResourceName::Device(TENANT, device()).to_string();
        let mut question = as_admin(pb::GetDeviceReportRequest { device: name, ..Default::default() });
        let position = format!("report:{position}").parse().unwrap();
        question.metadata_mut().insert(MIN_POSITION, position);
        self.grpc.get_device_report(question).await.unwrap().into_inner()
    }

    /// What the log holds of the device's last report.
    async fn kept(&self) -> pb::DeviceStatus {
        let events = self.events(device()).await;
        pb::StatusReported::decode(&*events.last().unwrap().payload).unwrap().status.unwrap()
    }
}

#[tokio::test]
async fn settings_that_nobody_asked_for_and_policies_of_before_are_kept() {
    let service = Service::start();
    let now = pb::DeviceStatus { policy_version: 9, ..with(vec![setting("linux-antivirus/a")]) };
    service.report(now).await.unwrap();
    let earlier = pb::DeviceStatus {
        policy_etag: vec![9; 32],
        policy_version: 2,
        ..with(vec![setting("no-such-profile/x"), setting("windows-antivirus/y")])
    };
    service.report(earlier.clone()).await.unwrap();
    assert_eq!(service.kept().await, earlier);
}

#[tokio::test]
async fn a_million_settings_are_refused_before_anything_is_made_of_them() {
    let service = Service::start();
    let many = vec![pb::SettingStatus::default(); 1_000_000];
    assert_eq!(refusal(service.report(with(many)).await), invalid("status.settings"));
    let most: Vec<_> = (0..10_000).map(|n| setting(&format!("p/s{n:05}"))).collect();
    service.report(with(most.clone())).await.unwrap();
    assert_eq!(service.kept().await.settings, most);
}

#[tokio::test]
async fn times_that_cannot_be_are_kept_and_nothing_breaks() {
    let service = Service::start();
    let moments = [
        (-62_135_596_800, 0),
        (253_402_300_799, 999_999_999),
        (i64::MIN, i32::MIN),
        (i64::MAX, i32::MAX),
        (0, -1),
        (1, i32::MIN),
    ];
    for (version, (seconds, nanos)) in (1..).zip(moments) {
        let apply_time = Some(Timestamp { seconds, nanos });
        let said = pb::DeviceStatus { apply_time, policy_version: version, ..with(vec![]) };
        service.report(said).await.unwrap();
        let kept = service.kept().await;
        assert_eq!(kept.policy_version, version);
        assert!((0..1_000_000_000).contains(&kept.apply_time.unwrap().nanos), "{kept:?}");
        assert_eq!(service.shown().await.status.unwrap().policy_version, version);
    }
}

#[tokio::test]
async fn a_state_of_a_newer_agent_is_refused_by_name_and_what_it_said_before_stays() {
    let service = Service::start();
    let good = with(vec![setting("p/a"), setting("p/b")]);
    service.report(good.clone()).await.unwrap();
    for state in [0, 8, -1, i32::MAX] {
        let mut newer = good.clone();
        newer.settings[1].state = state;
        let refused = service.report(newer).await;
        let message = refused.as_ref().unwrap_err().message().to_owned();
        assert_eq!(refusal(refused), invalid("status.settings[1].state"));
        assert!(message.contains("p/b") && message.contains(&state.to_string()), "{message}");
    }
    assert_eq!(service.kept().await, good);
}

#[tokio::test]
async fn a_report_is_of_the_device_whose_certificate_it_came_with() {
    let service = Service::start();
    service.report(with(vec![setting("p/a")])).await.unwrap();
    let other = DeviceId::from_uuid(Uuid::from_u128(7));
    let said = pb::ReportStatusRequest { status: Some(with(vec![setting("p/b")])) };
    let mut request = Request::new(said);
    request.extensions_mut().insert(Caller::Device { tenant: TENANT, device: other });
    service.grpc.report_status(request).await.unwrap();
    let (first, second) = (service.events(device()).await, service.events(other).await);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(second[0].context.actor.as_str(), format!("device:{other}"));
    assert_eq!(service.kept().await.settings, [setting("p/a")], "the other one changed nothing here");
}

#[tokio::test]
async fn settings_out_of_order_twice_or_without_a_good_id_are_refused_with_their_place() {
    let service = Service::start();
    let refused =
        async |ids: &[&str]| refusal(service.report(with(ids.iter().map(|id| setting(id)).collect())).await);
    assert_eq!(refused(&["p/b", "p/a"]).await, invalid("status.settings[1].id"));
    assert_eq!(refused(&["p/a", "p/a"]).await, invalid("status.settings[1].id"));
    for id in ["", "p", "/", "p/", "/a", "p/a b", "p/a\u{0}", "ü/a", &"p/a".repeat(99)] {
        assert_eq!(refused(&["p/a", id]).await, invalid("status.settings[1].id"), "{id:?}");
    }
    assert_eq!(service.events(device()).await, []);
}

#[tokio::test]
async fn an_empty_report_is_refused_and_one_of_no_settings_is_none() {
    let service = Service::start();
    assert_eq!(refusal(service.report(pb::DeviceStatus::default()).await), invalid("status.policy_etag"));
    let mut nothing = Request::new(pb::ReportStatusRequest { status: None });
    nothing.extensions_mut().insert(Caller::Device { tenant: TENANT, device: device() });
    assert_eq!(refusal(service.grpc.report_status(nothing).await), invalid("status"));
    let short = pb::DeviceStatus { policy_etag: vec![1; 31], ..with(vec![]) };
    assert_eq!(refusal(service.report(short).await), invalid("status.policy_etag"));
    let mut hollow = setting("p/a");
    hollow.observed = Some(policy::SettingValue { kind: None });
    assert_eq!(
        refusal(service.report(with(vec![hollow])).await),
        invalid("status.settings[0].observed.kind")
    );
    service.report(with(vec![])).await.unwrap();
    assert_eq!(service.events(device()).await.len(), 1);
}

#[tokio::test]
async fn a_setting_that_is_put_back_three_times_is_suspected_in_the_same_append() {
    let service = Service::start();
    let put_back = |corrections| with(vec![pb::SettingStatus { corrections, ..setting("p/a") }]);
    service.report(put_back(2)).await.unwrap();
    service.report(put_back(u32::MAX)).await.unwrap();
    service.report(put_back(5)).await.unwrap();
    let kinds: Vec<_> =
        service.events(device()).await.iter().map(|event| event.kind.short().to_owned()).collect();
    assert_eq!(kinds, ["StatusReported", "StatusReported", "DriftSuspected", "StatusReported"]);
}
