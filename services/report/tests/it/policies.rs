//! A policy's devices over gRPC: lists, pages, filters, exports, and what is refused of them.

use futures::StreamExt as _;
use muster_errors::ErrorCode;
use muster_eventlog::{Actor, Append, Context, EventType, NewEvent};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::log::v1::{AsOf, as_of::At};
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::report_service_server::ReportService as _;
use muster_report::grpc::EXPORTS_MAX;
use muster_runtime::position::MIN_POSITION;
use muster_types::id::derive;
use muster_types::{
    Aggregate, DeviceId, EventId, PolicyId, Positions, ResourceName, Service as Part, StreamId, Timestamp,
    Version,
};
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::reporting::{Service, TENANT, as_admin, refusal};

const SETTING: &str = "linux-antivirus/enforcement_level";
/// More than a message of an export holds.
const DEVICES: u32 = 2_100;

fn device(n: u32) -> DeviceId {
    DeviceId::from_uuid(derive("device", &[&n.to_be_bytes()]))
}

fn policy_id() -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(1))
}

fn policy_name() -> String {
    ResourceName::Policy(TENANT, policy_id()).to_string()
}

impl Service {
    async fn tell(&self, aggregate: Aggregate, id: Uuid, version: u64, kind: &str, message: &impl Message) {
        let event = NewEvent {
            id: EventId::from_uuid(derive("event", &[id.as_bytes(), &[aggregate as u8], kind.as_bytes()])),
            kind: EventType::new(kind),
            payload: message.encode_to_vec().into(),
        };
        let context = Context {
            actor: Actor::admin("admin"),
            time: Timestamp::from_micros(1_000_000),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        };
        let stream = StreamId::new(TENANT, aggregate, id);
        let append = Append { stream, expected: Version(version), events: vec![event], context };
        self.log.append(vec![append]).await.unwrap();
    }

    /// A policy of one setting that all of some Linux devices have, of which the first says that it could not apply it.
    async fn with_a_policy() -> Self {
        let service = Self::start();
        for n in 0..DEVICES {
            let id = device(n).uuid();
            let facts = enroll::DeviceFacts {
                platform: enroll::Platform::Linux.into(),
                hostname: format!("{}-{n}", if n % 2 == 0 { "web" } else { "db" }),
                ..Default::default()
            };
            let onboarded = enroll::DeviceOnboarded { facts: Some(facts), ..Default::default() };
            service.tell(Aggregate::Enrollment, id, 0, "muster.enroll.v1.DeviceOnboarded", &onboarded).await;
            let trusted = identity::TrustEstablished::default();
            service
                .tell(Aggregate::Registration, id, 0, "muster.identity.v1.TrustEstablished", &trusted)
                .await;
        }
        let mut all = Vec::new();
        roaring::RoaringBitmap::from_iter(0..DEVICES).serialize_into(&mut all).unwrap();
        let (group, id) = (Uuid::from_u128(2), policy_id().uuid());
        let joined = identity::GroupMembershipChanged { added: all.clone(), ..Default::default() };
        service.tell(Aggregate::Group, group, 0, "muster.identity.v1.GroupMembershipChanged", &joined).await;
        let value =
            policy::SettingValue { kind: Some(policy::setting_value::Kind::Text("real_time".to_owned())) };
        let created = policy::PolicyCreated {
            display_name: "Servers".to_owned(),
            profile: "linux-antivirus".to_owned(),
            settings: vec![policy::Setting { id: SETTING.to_owned(), value: Some(value.clone()) }],
            ..Default::default()
        };
        service.tell(Aggregate::Policy, id, 0, "muster.policy.v1.PolicyCreated", &created).await;
        let assigned = policy::PolicyAssigned {
            policy_id: id.as_bytes().to_vec(),
            group_id: group.as_bytes().to_vec(),
            intent: policy::AssignmentIntent::Include.into(),
            ..Default::default()
        };
        let tie = derive("assignment", &[id.as_bytes(), group.as_bytes()]);
        service.tell(Aggregate::Assignment, tie, 0, "muster.policy.v1.PolicyAssigned", &assigned).await;
        let resolution = policy::Resolution {
            etag: vec![1; 32],
            policies: vec![policy::ResolvedPolicy { policy_id: id.as_bytes().to_vec(), revision: 1 }],
            settings: vec![policy::ResolvedSetting {
                id: SETTING.to_owned(),
                value: Some(value),
                winners: vec![0],
                losers: Vec::new(),
            }],
            withheld: Vec::new(),
        };
        let resolved = policy::Resolved {
            resolution_id: vec![9; 32],
            devices: all,
            cause_time: None,
            resolution: Some(resolution),
        };
        let told = policy::EffectivePoliciesChanged { resolved: vec![resolved], ..Default::default() };
        let kind = "muster.policy.v1.EffectivePoliciesChanged";
        service.tell(Aggregate::Resolution, Uuid::nil(), 0, kind, &told).await;
        let failed = pb::SettingStatus {
            id: SETTING.to_owned(),
            state: pb::SettingState::Error.into(),
            reason: "APPLY_FAILED".to_owned(),
            ..Default::default()
        };
        let status =
            pb::DeviceStatus { policy_etag: vec![1; 32], settings: vec![failed], ..Default::default() };
        let said = pb::StatusReported { status: Some(status) };
        let id = device(0).uuid();
        service.tell(Aggregate::DeviceStatus, id, 0, "muster.report.v1.StatusReported", &said).await;
        service
    }

    /// A question that is answered when the view shows all that was told.
    async fn asking<T>(&self, message: T) -> Request<T> {
        let mut heads = Positions::ZERO;
        for part in Part::ALL {
            heads = heads.join(Positions::of(part, self.log.head(part).await.unwrap()));
        }
        let mut request = as_admin(message);
        request.metadata_mut().insert(MIN_POSITION, heads.to_string().parse().unwrap());
        request
    }

    async fn list(
        &self,
        request: pb::ListPolicyDevicesRequest,
    ) -> Result<pb::ListPolicyDevicesResponse, Status> {
        let request = pb::ListPolicyDevicesRequest { policy: policy_name(), ..request };
        self.grpc.list_policy_devices(self.asking(request).await).await.map(Response::into_inner)
    }

    async fn export(
        &self,
        filter: Option<pb::PolicyDeviceFilter>,
    ) -> Result<Vec<pb::ExportPolicyDevicesResponse>, Status> {
        let request = pb::ExportPolicyDevicesRequest { policy: policy_name(), filter };
        let messages = self.grpc.export_policy_devices(self.asking(request).await).await?;
        messages.into_inner().collect::<Vec<_>>().await.into_iter().collect()
    }
}

#[tokio::test]
async fn pages_and_an_export_hold_each_device_once_at_the_same_position() {
    let service = Service::with_a_policy().await;
    let (mut listed, mut token, mut positions) = (Vec::new(), String::new(), Vec::new());
    loop {
        let request =
            pb::ListPolicyDevicesRequest { page_size: 900, page_token: token, ..Default::default() };
        let page = service.list(request).await.unwrap();
        assert_eq!(page.total_size, DEVICES);
        listed.extend(page.devices);
        positions.push(page.position);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let exported = service.export(None).await.unwrap();
    assert_eq!((exported[0].total_size, &exported[0].display_name[..]), (DEVICES, "Servers"));
    assert!(exported.len() > 1 && positions.iter().all(|position| *position == exported[0].position));
    let rows: Vec<_> = exported.into_iter().flat_map(|message| message.devices).collect();
    assert_eq!((rows.len(), &rows), (DEVICES as usize, &listed));
    assert_eq!(rows[0].status(), pb::CheckInStatus::Error);
    assert!(rows[1..].iter().all(|row| row.status() == pb::CheckInStatus::Pending));
}

#[tokio::test]
async fn a_filter_says_which_devices_of_a_list_and_of_an_export() {
    let service = Service::with_a_policy().await;
    let filters = [
        (pb::PolicyDeviceFilter { statuses: vec![pb::CheckInStatus::Error.into()], ..Default::default() }, 1),
        (pb::PolicyDeviceFilter { host_name_prefix: "db-".to_owned(), ..Default::default() }, DEVICES / 2),
        (
            pb::PolicyDeviceFilter {
                setting: SETTING.to_owned(),
                setting_states: vec![pb::SettingState::Error.into()],
                ..Default::default()
            },
            1,
        ),
        (pb::PolicyDeviceFilter { stale: Some(true), ..Default::default() }, 0),
    ];
    for (filter, expected) in filters {
        let request =
            pb::ListPolicyDevicesRequest { page_size: 1, filter: Some(filter.clone()), ..Default::default() };
        assert_eq!(service.list(request).await.unwrap().total_size, expected, "{filter:?}");
        let exported = service.export(Some(filter)).await.unwrap();
        let rows = exported.iter().map(|message| message.devices.len()).sum::<usize>();
        assert_eq!((exported[0].total_size, rows), (expected, expected as usize));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_its_field() {
    let service = Service::with_a_policy().await;
    let invalid = |field: &str| (ErrorCode::ArgumentInvalid, field.to_owned());
    let list = |request| service.list(request);
    let page = list(pb::ListPolicyDevicesRequest { page_size: 1, ..Default::default() }).await.unwrap();
    let noise = pb::ListPolicyDevicesRequest { page_token: "noise".to_owned(), ..Default::default() };
    assert_eq!(refusal(list(noise).await), invalid("page_token"));
    let stale = Some(pb::PolicyDeviceFilter { stale: Some(true), ..Default::default() });
    let of_another = pb::ListPolicyDevicesRequest {
        page_token: page.next_page_token,
        filter: stale,
        ..Default::default()
    };
    assert_eq!(refusal(list(of_another).await), invalid("page_token"));
    let negative = pb::ListPolicyDevicesRequest { page_size: -1, ..Default::default() };
    assert_eq!(refusal(list(negative).await), invalid("page_size"));
    let filters = [
        pb::PolicyDeviceFilter { statuses: vec![99], ..Default::default() },
        pb::PolicyDeviceFilter { setting: "noise".to_owned(), ..Default::default() },
        pb::PolicyDeviceFilter { setting: "linux-antivirus/scan_archives".to_owned(), ..Default::default() },
    ];
    for filter in filters {
        let request = pb::ListPolicyDevicesRequest { filter: Some(filter.clone()), ..Default::default() };
        let refused = refusal(list(request).await);
        assert_eq!(refused, refusal(service.export(Some(filter)).await));
        assert_eq!(refused.0, ErrorCode::FilterInvalid, "{refused:?}");
    }
    let other = ResourceName::Policy(TENANT, PolicyId::from_uuid(Uuid::from_u128(7))).to_string();
    let request = pb::ExportPolicyDevicesRequest { policy: other, filter: None };
    let exported = service.grpc.export_policy_devices(as_admin(request)).await;
    assert_eq!(refusal(exported).0, ErrorCode::PolicyUnknown);
}

#[tokio::test]
async fn one_export_too_many_is_refused_until_another_has_ended() {
    let service = Service::with_a_policy().await;
    let begin = async || {
        let request = pb::ExportPolicyDevicesRequest { policy: policy_name(), filter: None };
        service.grpc.export_policy_devices(service.asking(request).await).await
    };
    let mut under_way = Vec::new();
    for _ in 0..EXPORTS_MAX {
        let mut messages = begin().await.unwrap().into_inner();
        messages.next().await.unwrap().unwrap();
        under_way.push(messages);
    }
    assert_eq!(refusal(begin().await).0, ErrorCode::Overloaded);
    // One that is given up counts no longer, and those that are read on lack nothing.
    drop(under_way.pop());
    begin().await.unwrap();
    let rest: Vec<_> = under_way.remove(0).collect().await;
    assert!(rest.iter().all(Result::is_ok) && rest.len() == 2);
}

#[tokio::test]
async fn moments_that_never_were_are_refused() {
    let service = Service::with_a_policy().await;
    let name = ResourceName::Device(TENANT, device(0)).to_string();
    for at in [
        At::Time(prost_types::Timestamp { seconds: -1, nanos: 0 }),
        At::Time(prost_types::Timestamp { seconds: 1, nanos: -1 }),
        At::Time(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
        At::Position("report:999999".to_owned()),
        At::Position("noise".to_owned()),
    ] {
        let as_of = Some(AsOf { at: Some(at.clone()) });
        let request = pb::GetDeviceReportRequest { device: name.clone(), setting: String::new(), as_of };
        let refused = refusal(service.grpc.get_device_report(service.asking(request).await).await);
        assert_eq!(refused.0, ErrorCode::AsOfInvalid, "{at:?}: {refused:?}");
    }
}
