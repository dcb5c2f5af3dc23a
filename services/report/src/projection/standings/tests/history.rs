//! What may happen, and the events that tell it.

use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1 as report;
use muster_types::{Aggregate, Digest, EventId, StreamId, TenantId, Timestamp, Version};
use prost::Message;
use uuid::Uuid;

use crate::domain::device_status::SettingState;
use crate::wire::kind;

pub(super) const DEVICES: u8 = 6;
pub(super) const POLICIES: u8 = 2;
pub(super) const SETTINGS: u8 = 4;

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    Onboarded { device: u8, linux: bool },
    Trusted(u8),
    Removed(u8),
    Members { group: u8, added: Vec<u32>, removed: Vec<u32> },
    Created { policy: u8, settings: Vec<u8> },
    Revised { policy: u8, settings: Vec<u8> },
    Deleted(u8),
    Undeleted(u8),
    Assigned { policy: u8, group: u8, include: bool },
    Unassigned { policy: u8, group: u8 },
    Resolved { devices: Vec<u32>, resolution: Told },
    Nothing(Vec<u32>),
    Delivered { devices: Vec<u32>, etag: u8, step: u8 },
    Seen(Vec<u32>),
    Said { device: u8, etag: u8, settings: Vec<(u8, SettingState, u8)>, refused: bool },
    Drift { device: u8, setting: u8 },
    Stale { device: u8, stale: bool },
}

/// A resolution: of each policy what becomes of settings, with values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) etag: u8,
    /// Policy and revision.
    pub(super) policies: Vec<(u8, u64)>,
    /// Setting, value, and the places of the policies that carry it.
    pub(super) in_force: Vec<(u8, u8, Vec<u32>)>,
    pub(super) withheld: Vec<(u8, policy::WithheldReason, Vec<u32>)>,
}

pub(super) fn id(kind: u8, number: u8) -> Uuid {
    Uuid::from_bytes([kind, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

pub(super) fn setting(number: u8) -> String {
    format!("linux-antivirus/s{number}")
}

pub(super) fn etag(number: u8) -> Digest {
    [number; 32]
}

fn value(number: u8) -> policy::SettingValue {
    policy::SettingValue { kind: Some(policy::setting_value::Kind::Integer(number.into())) }
}

fn bitmap(ordinals: &[u32]) -> Vec<u8> {
    crate::store::encode_bitmap(&ordinals.iter().copied().collect())
}

/// The time of the n-th event.
pub(super) fn time(n: usize) -> Timestamp {
    Timestamp::from_micros(1_000_000 * (i64::try_from(n).unwrap() + 1))
}

fn envelope(
    aggregate: Aggregate,
    id: Uuid,
    kind: &'static str,
    message: &impl Message,
    n: usize,
) -> Envelope {
    Envelope {
        position: n as u64 + 1,
        event_id: EventId::from_uuid(Uuid::nil()),
        stream: StreamId::new(TenantId::DEFAULT, aggregate, id),
        version: Version(1),
        kind: EventType::new(kind),
        context: Context {
            actor: Actor::admin("admin"),
            time: time(n),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: message.encode_to_vec().into(),
    }
}

fn settings(numbers: &[u8]) -> Vec<policy::Setting> {
    numbers.iter().map(|number| policy::Setting { id: setting(*number), value: None }).collect()
}

fn resolved(devices: &[u32], told: &Told, n: usize) -> policy::EffectivePoliciesChanged {
    let Told { etag: number, policies, in_force, withheld } = told;
    let policies: Vec<_> = policies
        .iter()
        .map(|(policy, revision)| policy::ResolvedPolicy {
            policy_id: id(3, *policy).as_bytes().to_vec(),
            revision: *revision,
        })
        .collect();
    let in_force = in_force.iter().map(|(number, wanted, carriers)| policy::ResolvedSetting {
        id: setting(*number),
        value: Some(value(*wanted)),
        winners: carriers.clone(),
        losers: vec![],
    });
    let withheld = withheld.iter().map(|(number, reason, carriers)| policy::ResolvedWithheld {
        id: setting(*number),
        reason: (*reason).into(),
        candidates: carriers.clone(),
    });
    let resolution = policy::Resolution {
        etag: etag(*number).to_vec(),
        policies,
        settings: in_force.collect(),
        withheld: withheld.collect(),
    };
    let resolution_id = muster_types::id::derive("resolution", &[&resolution.encode_to_vec()]);
    let told = policy::Resolved {
        resolution_id: resolution_id.as_bytes().repeat(2),
        devices: bitmap(devices),
        cause_time: Some(muster_proto::convert::timestamp(time(n))),
        resolution: Some(resolution),
    };
    policy::EffectivePoliciesChanged { resolved: vec![told], restated: true, ..Default::default() }
}

pub(super) fn status(
    number: u8,
    said: &[(u8, SettingState, u8)],
    refused: bool,
    message: &str,
) -> report::StatusReported {
    let settings = said.iter().map(|(number, state, desired)| report::SettingStatus {
        id: setting(*number),
        desired: Some(value(*desired)),
        state: *state as i32,
        message: message.to_owned(),
        ..Default::default()
    });
    let status = report::DeviceStatus {
        policy_etag: etag(number).to_vec(),
        settings: settings.collect(),
        refused_reason: if refused { "POLICY_EXPIRED".to_owned() } else { String::new() },
        ..Default::default()
    };
    report::StatusReported { status: Some(status) }
}

/// The n-th event of a history.
pub(super) fn event(happened: &Happened, n: usize) -> Envelope {
    let device = |number: &u8| id(1, *number);
    match happened {
        Happened::Onboarded { device: number, linux } => {
            let platform = if *linux { enroll::Platform::Linux } else { enroll::Platform::Macos };
            let facts = enroll::DeviceFacts {
                platform: platform.into(),
                hostname: format!("Host-{number}"),
                board_vendor: Some("maker".to_owned()),
                ..Default::default()
            };
            let message = enroll::DeviceOnboarded { facts: Some(facts), ..Default::default() };
            envelope(Aggregate::Enrollment, device(number), kind::DEVICE_ONBOARDED, &message, n)
        }
        Happened::Trusted(number) => {
            let message = identity::TrustEstablished::default();
            envelope(Aggregate::Registration, device(number), kind::TRUST_ESTABLISHED, &message, n)
        }
        Happened::Removed(number) => {
            let message = identity::RegistrationRemoved::default();
            envelope(Aggregate::Registration, device(number), kind::REGISTRATION_REMOVED, &message, n)
        }
        Happened::Members { group, added, removed } => {
            let message = identity::GroupMembershipChanged { added: bitmap(added), removed: bitmap(removed) };
            envelope(Aggregate::Group, id(2, *group), kind::MEMBERSHIP_CHANGED, &message, n)
        }
        Happened::Created { policy, settings: numbers } => {
            let message = policy::PolicyCreated {
                profile: "linux-antivirus".to_owned(),
                display_name: "p".to_owned(),
                settings: settings(numbers),
                ..Default::default()
            };
            envelope(Aggregate::Policy, id(3, *policy), kind::POLICY_CREATED, &message, n)
        }
        Happened::Revised { policy, settings: numbers } => {
            let message =
                policy::PolicyRevised { revision: 2, settings: settings(numbers), ..Default::default() };
            envelope(Aggregate::Policy, id(3, *policy), kind::POLICY_REVISED, &message, n)
        }
        Happened::Deleted(number) => {
            let message = policy::PolicyDeleted::default();
            envelope(Aggregate::Policy, id(3, *number), kind::POLICY_DELETED, &message, n)
        }
        Happened::Undeleted(number) => {
            let message = policy::PolicyUndeleted::default();
            envelope(Aggregate::Policy, id(3, *number), kind::POLICY_UNDELETED, &message, n)
        }
        Happened::Assigned { policy, group, include } => {
            let intent =
                if *include { policy::AssignmentIntent::Include } else { policy::AssignmentIntent::Exclude };
            let message = policy::PolicyAssigned {
                policy_id: id(3, *policy).as_bytes().to_vec(),
                group_id: id(2, *group).as_bytes().to_vec(),
                intent: intent.into(),
                ..Default::default()
            };
            envelope(Aggregate::Assignment, id(4, *policy), kind::POLICY_ASSIGNED, &message, n)
        }
        Happened::Unassigned { policy, group } => {
            let message = policy::PolicyUnassigned {
                policy_id: id(3, *policy).as_bytes().to_vec(),
                group_id: id(2, *group).as_bytes().to_vec(),
            };
            envelope(Aggregate::Assignment, id(4, *policy), kind::POLICY_UNASSIGNED, &message, n)
        }
        Happened::Resolved { devices, resolution } => {
            let message = resolved(devices, resolution, n);
            envelope(Aggregate::Resolution, id(5, 0), kind::EFFECTIVE_POLICIES_CHANGED, &message, n)
        }
        Happened::Nothing(devices) => {
            let message = policy::EffectivePoliciesChanged {
                none: bitmap(devices),
                restated: true,
                ..Default::default()
            };
            envelope(Aggregate::Resolution, id(5, 0), kind::EFFECTIVE_POLICIES_CHANGED, &message, n)
        }
        Happened::Delivered { devices, etag: number, step } => {
            let delivered = policy::Delivered {
                etag: etag(*number).to_vec(),
                step: i32::from(*step),
                devices: bitmap(devices),
            };
            let message = policy::PoliciesDelivered { delivered: vec![delivered], first_time: None };
            envelope(Aggregate::Delivery, id(5, 1), kind::POLICIES_DELIVERED, &message, n)
        }
        Happened::Seen(devices) => {
            let message = policy::DevicesSeen { devices: bitmap(devices) };
            envelope(Aggregate::Presence, id(5, 2), kind::DEVICES_SEEN, &message, n)
        }
        Happened::Said { device: number, etag, settings, refused } => {
            let message = status(*etag, settings, *refused, "");
            envelope(Aggregate::DeviceStatus, device(number), kind::STATUS_REPORTED, &message, n)
        }
        Happened::Drift { device: number, setting: of } => {
            let message = report::DriftSuspected {
                setting: setting(*of),
                corrections: 3,
                policy_etag: etag(1).to_vec(),
            };
            envelope(Aggregate::DeviceStatus, device(number), kind::DRIFT_SUSPECTED, &message, n)
        }
        Happened::Stale { device: number, stale } => {
            let (gone, back) = (report::DeviceWentStale::default(), report::DeviceReturned::default());
            if *stale {
                envelope(Aggregate::DeviceStatus, device(number), kind::DEVICE_WENT_STALE, &gone, n)
            } else {
                envelope(Aggregate::DeviceStatus, device(number), kind::DEVICE_RETURNED, &back, n)
            }
        }
    }
}
