//! What is written is read again, in every form that ever shipped.

use muster_eventlog::command::State as _;
use muster_testkit::wire::{AT, REQUEST, envelope, round_trips, samples_decode, samples_of_form_decode};
use muster_types::{DeviceId, GroupId, PolicyId, Positions, Timestamp, WithheldReason};
use uuid::Uuid;

use super::*;
use crate::domain::assignment::{self, Assignment, Intent, Priority, Tie};
use crate::domain::check_in_settings::{self, CheckInSettings, Values};
use crate::domain::delivery::{self, Delivered, Step};
use crate::domain::policy::{self, Content, OnUnassign, Policy};
use crate::domain::resolution::{self, Resolved, Revised, Told};
use crate::domain::session::{self, Session};
use crate::domain::sync::{self, Sync};
use crate::domain::waiver::{self, Exempt, Grant, Target, Waiver};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn settings() -> BTreeMap<SettingId, SettingValue> {
    let object = [("path".to_owned(), SettingValue::Text("/run".into()))].into();
    [
        ("linux-antivirus/enforcement_level", SettingValue::Text("real_time".into())),
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("linux-antivirus/scan_results_retention_days", SettingValue::Integer(30)),
        ("linux-antivirus/allowed_threats", SettingValue::Strings(vec!["a".into()])),
        ("linux-antivirus-exclusions/exclusions", SettingValue::Objects(vec![object])),
    ]
    .map(|(id, value)| (id.parse().unwrap(), value))
    .into()
}

fn origin(reason: &str) -> Origin {
    Origin {
        actor: "admin:ada".into(),
        reason: reason.into(),
        request: RequestId::from_uuid(REQUEST),
        at: AT,
    }
}

fn policy_events(on_unassign: OnUnassign, reason: &str, rolled_back_to: Option<u64>) -> Vec<policy::Event> {
    let content = Content { display_name: "Servers".into(), settings: settings(), on_unassign };
    let origin = origin(reason);
    vec![
        policy::Event::Created {
            profile: "linux-antivirus".into(),
            content: content.clone(),
            origin: origin.clone(),
        },
        policy::Event::Revised { revision: 2, content, rolled_back_to, origin: origin.clone() },
        policy::Event::Deleted { origin },
    ]
}

fn undeleted() -> Vec<policy::Event> {
    vec![policy::Event::Undeleted { origin: origin("too early") }]
}

fn assigned(tie: Tie) -> assignment::Event {
    assignment::Event::Assigned { policy: policy_id(), group: group_id(), tie, at: AT }
}

fn unassigned() -> assignment::Event {
    assignment::Event::Unassigned { policy: policy_id(), group: group_id() }
}

fn weighed() -> Tie {
    let filter = r#"(device.deviceOwnership -eq "Corporate")"#.to_owned();
    Tie { intent: Intent::Include, priority: Priority::new(7), filter }
}

fn policy_id() -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(1))
}

fn group_id() -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(2))
}

fn granted(exempt: Exempt, target: Target) -> waiver::Event {
    let expire = Timestamp::from_micros(AT.micros() + 1_000_000);
    let grant = Grant { exempt, target, approver: "Grace".into(), expire };
    waiver::Event::Granted { grant, origin: origin("migration") }
}

fn setting_id() -> SettingId {
    "linux-antivirus/scan_archives".parse().unwrap()
}

fn waiver_events() -> Vec<waiver::Event> {
    vec![
        granted(Exempt::SettingOf(policy_id(), setting_id()), Target::Group(group_id())),
        waiver::Event::Revoked { origin: origin("done") },
        waiver::Event::Expired { at: AT },
    ]
}

fn check_in_events() -> Vec<check_in_settings::Event> {
    let values = Values { first_count: 0, hints_per_second: 500, ..Values::default() };
    vec![check_in_settings::Event::Changed { values, origin: origin("slower") }]
}

fn sync_events() -> Vec<sync::Event> {
    let request = RequestId::from_uuid(REQUEST);
    let devices = [1, 7, 70_000].into();
    vec![sync::Event::Requested { request }, sync::Event::ManyRequested { devices, request }]
}

fn session_events() -> Vec<session::Event> {
    let boots = [[1; 16], [2; 16]];
    vec![session::Event::TurnsObserved { boots, request: RequestId::from_uuid(REQUEST) }]
}

fn resolution_events() -> Vec<resolution::Event> {
    let revised = |n, revision| Revised { policy: PolicyId::from_uuid(Uuid::from_u128(n)), revision };
    let in_force = settings().into_iter().enumerate().map(|(place, (id, value))| resolution::Setting {
        id,
        value: (place > 0).then_some(value),
        winners: vec![0, 2],
        losers: if place == 1 { vec![1] } else { vec![] },
    });
    let content = resolution::Content {
        etag: [3; 32],
        policies: vec![revised(1, 4), revised(2, 1), revised(3, 9)],
        settings: in_force.collect(),
        withheld: vec![resolution::Withheld {
            id: setting_id(),
            reason: WithheldReason::Conflict,
            candidates: vec![0, 1],
        }],
    };
    let mut positions = Positions::of(muster_types::Service::Enroll, 3);
    positions.advance(muster_types::Service::Policy, 7);
    let resolved =
        |id, devices: RoaringBitmap, content| Resolved { id: [id; 32], devices, cause: AT, content };
    let resolved = vec![
        resolved(1, [0, 5, 70_000].into(), Some(content)),
        resolved(2, [1].into(), None),
        resolved(3, [2].into(), Some(resolution::Content { etag: [4; 32], ..Default::default() })),
    ];
    vec![resolution::Event { positions, resolved, none: [9].into() }]
}

fn delivery_events(first: Option<Timestamp>) -> Vec<delivery::Event> {
    let delivered = |etag, step, devices: RoaringBitmap| Delivered { etag: [etag; 32], step, devices };
    vec![delivery::Event {
        delivered: vec![
            delivered(1, Step::Sent, [1, 70_000].into()),
            delivered(1, Step::Applying, [2].into()),
            delivered(2, Step::Refused, [3].into()),
        ],
        first,
    }]
}

#[test]
fn events_round_trip() {
    round_trips::<Policy>(policy_events(OnUnassign::Revert, "", None));
    round_trips::<Policy>(policy_events(OnUnassign::Keep, "why", Some(1)));
    round_trips::<Policy>(undeleted());
    round_trips::<Assignment>(vec![assigned(Tie::plain(Intent::Exclude)), assigned(weighed()), unassigned()]);
    round_trips::<Waiver>(waiver_events());
    let device = Target::Device(DeviceId::from_uuid(Uuid::from_u128(3)));
    round_trips::<Waiver>(vec![
        granted(Exempt::Setting(setting_id()), device),
        granted(Exempt::Policy(policy_id()), device),
    ]);
    round_trips::<CheckInSettings>(check_in_events());
    round_trips::<Sync>(sync_events());
    round_trips::<Session>(session_events());
    round_trips::<Told>(resolution_events());
    let nobody = resolution::Event { none: RoaringBitmap::new(), ..resolution_events().remove(0) };
    round_trips::<Told>(vec![nobody]);
    round_trips::<Delivery>(delivery_events(Some(AT)));
}

#[test]
fn every_form_that_ever_shipped_decodes() {
    samples_decode::<Policy>(GOLDEN, policy_events(OnUnassign::Revert, "", None));
    samples_decode::<Policy>(GOLDEN, undeleted());
    samples_decode::<Assignment>(GOLDEN, vec![assigned(Tie::plain(Intent::Exclude)), unassigned()]);
    samples_decode::<Waiver>(GOLDEN, waiver_events());
    samples_decode::<CheckInSettings>(GOLDEN, check_in_events());
    samples_decode::<Sync>(GOLDEN, sync_events());
    samples_decode::<Session>(GOLDEN, session_events());
    samples_decode::<Told>(GOLDEN, resolution_events());
    samples_decode::<Delivery>(GOLDEN, delivery_events(None));
    samples_of_form_decode::<Told>(GOLDEN, 2, resolution_events());
    samples_of_form_decode::<Delivery>(GOLDEN, 2, delivery_events(Some(AT)));
    samples_of_form_decode::<Policy>(GOLDEN, 2, policy_events(OnUnassign::Keep, "why", Some(1)));
    samples_of_form_decode::<Assignment>(GOLDEN, 2, vec![assigned(weighed())]);
}

#[test]
fn what_a_waiver_must_say_is_missed() {
    for granted in [
        pb::WaiverGranted::default(),
        pb::WaiverGranted { setting: setting_id().to_string(), ..Default::default() },
    ] {
        let payload = prost::Message::encode_to_vec(&granted);
        assert!(Waiver::decode(&envelope::<Waiver>(EventType::new(kind::WAIVER_GRANTED), payload)).is_err());
    }
}

#[test]
fn a_type_of_another_version_is_skipped() {
    let unknown = envelope::<Policy>(EventType::new("muster.policy.v1.RolloutAdvanced"), vec![]);
    assert_eq!(Policy::decode(&unknown), Ok(None));
}

#[test]
fn a_damaged_payload_is_told() {
    let damaged = envelope::<Policy>(EventType::new(kind::POLICY_CREATED), vec![0xff]);
    assert!(Policy::decode(&damaged).is_err());
}
