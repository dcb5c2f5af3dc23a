//! What may happen, and histories of it in three logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_eventlog::command::State;
use muster_eventlog::project::{Dirty, View as _};
use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_proto::enroll::v1 as enroll;
use muster_proto::identity::v1 as identity;
use muster_proto::policy::v1 as pb;
use muster_types::{
    Aggregate, DeviceId, EventId, GroupId, PolicyId, Positions, SettingId, SettingValue, StreamId, TenantId,
    Timestamp, Version, WaiverId,
};
use prost::Message;
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::domain::Origin;
use crate::domain::assignment::{self, Assignment, Intent, Priority, Tie};
use crate::domain::check_in_settings::{self, CheckInSettings, Values};
use crate::domain::policy::{self, Content, OnUnassign, Policy};
use crate::domain::resolve::Effective;
use crate::domain::waiver::{self, Exempt, Grant, Target, Waiver};
use crate::metrics::PolicyMetrics;
use crate::projection::fleet::{Device, Fleet};
use crate::watch::Watches;
use crate::wire::kind;

pub(super) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(super) const EXPIRE: Timestamp = Timestamp::from_micros(9_000_000);

pub(super) fn device(n: u8) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(u128::from(n) + 100))
}

pub(super) fn group(n: u8) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(u128::from(n) + 200))
}

pub(super) fn policy_id(n: u8) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(u128::from(n) + 300))
}

pub(super) fn waiver_id(n: u8) -> WaiverId {
    WaiverId::from_uuid(Uuid::from_u128(u128::from(n) + 400))
}

fn envelope(position: u64, aggregate: Aggregate, id: Uuid, kind: EventType, payload: Vec<u8>) -> Envelope {
    Envelope {
        position,
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position))),
        stream: StreamId::new(TenantId::DEFAULT, aggregate, id),
        version: Version(1),
        kind,
        context: Context {
            actor: Actor::admin("ada"),
            time: Timestamp::from_micros(i64::try_from(position).unwrap()),
            correlation_id: Uuid::from_u128(9),
            causation_id: None,
            traceparent: Some(Arc::from(TRACE)),
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}

/// What may happen, in words short enough for random histories.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    Onboarded(u8),
    Trusted(u8),
    ManagedElsewhere(u8),
    Authority(u8, bool),
    Refused(u8),
    Offboarding(u8, bool),
    Removed(u8),
    Merged(u8),
    Suspected(u8),
    Resolved(u8),
    Defined(u8),
    Joined(u8, Vec<u32>),
    Left(u8, Vec<u32>),
    Created(u8, u8),
    Revised(u8, u8),
    Deleted(u8),
    Undeleted(u8),
    Assigned(u8, u8, bool),
    /// With a priority.
    Preferred(u8, u8, u8),
    Unassigned(u8, u8),
    /// What the device says of itself, by number.
    Surveyed(u8, u8),
    /// Whether the rules are the current ones.
    Rules(bool),
    /// A waiver by number: from what, and for a group or a device.
    Granted(u8, u8, u8),
    /// Whether its time was over.
    Ended(u8, bool),
    CheckIns(u8),
    SyncAsked(Vec<u32>),
}

pub(super) fn bits(ordinals: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ordinals.iter().copied().collect::<RoaringBitmap>().serialize_into(&mut bytes).unwrap();
    bytes
}

pub(super) fn settings(value: u8) -> BTreeMap<SettingId, SettingValue> {
    let level = ["real_time", "on_demand", "passive"][usize::from(value % 3)];
    let threats = SettingValue::Strings(vec![format!("threat-{value}")]);
    BTreeMap::from([
        ("linux-antivirus/enforcement_level".parse().unwrap(), SettingValue::Text(level.into())),
        ("linux-antivirus/allowed_threats".parse().unwrap(), threats),
    ])
}

pub(super) fn surveyed(what: u8) -> enroll::DeviceFacts {
    let agent = |version: &str| vec![enroll::SecurityProduct { id: "mdatp".into(), version: version.into() }];
    let (platform, security_products) = match what {
        0 => (enroll::Platform::Linux, agent("101.19.1")),
        1 => (enroll::Platform::Linux, agent("101.99999.1")),
        4 => (enroll::Platform::Linux, agent("100.1.1")),
        _ => (enroll::Platform::Windows, Vec::new()),
    };
    let tamper = if what == 3 { enroll::TamperProtection::On } else { enroll::TamperProtection::Off };
    let role = if what == 2 { enroll::DomainRole::DomainController } else { enroll::DomainRole::Workgroup };
    enroll::DeviceFacts {
        platform: platform.into(),
        security_products,
        tamper_protection: tamper.into(),
        domain_role: role.into(),
        ..Default::default()
    }
}

/// Numbers from 3 on are devices.
fn grant(from: u8, to: u8) -> Grant {
    let level = "linux-antivirus/enforcement_level".parse().unwrap();
    let exempt = match from {
        0 => Exempt::Setting(level),
        n @ 1..3 => Exempt::Policy(policy_id(n)),
        _ => Exempt::SettingOf(policy_id(0), level),
    };
    let target = if to < 3 { Target::Group(group(to)) } else { Target::Device(device(to - 3)) };
    Grant { exempt, target, approver: "eve".into(), expire: EXPIRE }
}

pub(super) fn content(n: u8, value: u8) -> Content {
    Content {
        display_name: format!("policy {n}"),
        settings: settings(value),
        on_unassign: on_unassign(value),
    }
}

pub(super) fn origin(at: Timestamp) -> Origin {
    let request = muster_types::RequestId::from_uuid(Uuid::nil());
    Origin { actor: "admin:ada".into(), reason: String::new(), request, at }
}

/// Values from 2 on are kept.
const fn on_unassign(value: u8) -> OnUnassign {
    if value >= 2 { OnUnassign::Keep } else { OnUnassign::Revert }
}

pub(super) fn encoded<S: State>(id: Uuid, event: &S::Event) -> (Aggregate, Uuid, EventType, Vec<u8>) {
    let (kind, payload) = S::encode(event);
    (S::AGGREGATE, id, kind, payload)
}

pub(super) fn other(
    aggregate: Aggregate,
    id: Uuid,
    name: &str,
    message: &impl Message,
) -> (Aggregate, Uuid, EventType, Vec<u8>) {
    (aggregate, id, EventType::new(name), message.encode_to_vec())
}

impl Fact {
    pub(super) fn event(&self, position: u64, revision: u64) -> Envelope {
        let at = Timestamp::from_micros(0);
        let (aggregate, id, kind, payload) = match self {
            Self::Onboarded(n) => {
                let facts =
                    enroll::DeviceFacts { platform: enroll::Platform::Linux.into(), ..Default::default() };
                let message = enroll::DeviceOnboarded {
                    facts: Some(facts),
                    facts_digest: vec![*n; 32],
                    ..Default::default()
                };
                other(Aggregate::Enrollment, device(*n).uuid(), kind::DEVICE_ONBOARDED, &message)
            }
            Self::ManagedElsewhere(n) => {
                let managed_by = enroll::ManagedBy::Mdm.into();
                let message = enroll::EnrollmentSucceeded { managed_by, ..Default::default() };
                other(Aggregate::Enrollment, device(*n).uuid(), kind::ENROLLMENT_SUCCEEDED, &message)
            }
            Self::Authority(n, here) => {
                let to = if *here { enroll::ManagedBy::Muster } else { enroll::ManagedBy::Mdm };
                let code = if *here { "ENROLLED" } else { "MANAGED_BY_MDM" };
                let message = enroll::ManagementAuthorityChanged {
                    to: to.into(),
                    code: code.into(),
                    ..Default::default()
                };
                other(Aggregate::Enrollment, device(*n).uuid(), kind::AUTHORITY_CHANGED, &message)
            }
            Self::Refused(n) => {
                let message =
                    enroll::EnrollmentRefused { reason: "OUT_OF_SCOPE".into(), ..Default::default() };
                other(Aggregate::Enrollment, device(*n).uuid(), kind::ENROLLMENT_REFUSED, &message)
            }
            Self::Offboarding(n, false) => {
                let expire_time = Some(muster_proto::convert::timestamp(EXPIRE));
                let message = enroll::DeviceOffboardingRequested { expire_time };
                other(Aggregate::Enrollment, device(*n).uuid(), kind::OFFBOARDING_REQUESTED, &message)
            }
            Self::Offboarding(n, true) => {
                let message = enroll::DeviceOffboarded::default();
                other(Aggregate::Enrollment, device(*n).uuid(), kind::DEVICE_OFFBOARDED, &message)
            }
            Self::Removed(n) => {
                let message = enroll::DeviceDeleted {};
                other(Aggregate::Enrollment, device(*n).uuid(), kind::DEVICE_DELETED, &message)
            }
            Self::Merged(n) => {
                let message = enroll::DeviceMerged::default();
                other(Aggregate::Enrollment, device(*n).uuid(), kind::DEVICE_MERGED, &message)
            }
            Self::Suspected(n) => {
                let message = identity::CloneSuspected::default();
                other(Aggregate::Registration, device(*n).uuid(), kind::CLONE_SUSPECTED, &message)
            }
            Self::Resolved(n) => {
                let message = identity::CloneResolved::default();
                other(Aggregate::Registration, device(*n).uuid(), kind::CLONE_RESOLVED, &message)
            }
            Self::Trusted(n) => {
                let message = identity::TrustEstablished::default();
                other(Aggregate::Registration, device(*n).uuid(), kind::TRUST_ESTABLISHED, &message)
            }
            Self::Defined(n) => {
                let message = identity::GroupDefined::default();
                other(Aggregate::Group, group(*n).uuid(), kind::GROUP_DEFINED, &message)
            }
            Self::Joined(n, ordinals) => {
                let message = identity::GroupMembershipChanged { added: bits(ordinals), removed: vec![] };
                other(Aggregate::Group, group(*n).uuid(), kind::MEMBERSHIP_CHANGED, &message)
            }
            Self::Left(n, ordinals) => {
                let message = identity::GroupMembershipChanged { added: vec![], removed: bits(ordinals) };
                other(Aggregate::Group, group(*n).uuid(), kind::MEMBERSHIP_CHANGED, &message)
            }
            Self::Created(n, value) => {
                let event = policy::Event::Created {
                    profile: "linux-antivirus".into(),
                    content: content(*n, *value),
                    origin: origin(at),
                };
                encoded::<Policy>(policy_id(*n).uuid(), &event)
            }
            Self::Revised(n, value) => {
                let (content, origin) = (content(*n, *value), origin(at));
                let event = policy::Event::Revised { revision, content, rolled_back_to: None, origin };
                encoded::<Policy>(policy_id(*n).uuid(), &event)
            }
            Self::Deleted(n) => {
                encoded::<Policy>(policy_id(*n).uuid(), &policy::Event::Deleted { origin: origin(at) })
            }
            Self::Undeleted(n) => {
                encoded::<Policy>(policy_id(*n).uuid(), &policy::Event::Undeleted { origin: origin(at) })
            }
            Self::Assigned(p, g, exclude) => {
                let tie = Tie::plain(if *exclude { Intent::Exclude } else { Intent::Include });
                let (policy, group) = (policy_id(*p), group(*g));
                let event = assignment::Event::Assigned { policy, group, tie, at };
                encoded::<Assignment>(assignment::stream_id(policy, group), &event)
            }
            Self::Preferred(p, g, priority) => {
                let priority = Priority::new(u32::from(*priority) + 1);
                let tie = Tie { priority, ..Tie::plain(Intent::Include) };
                let (policy, group) = (policy_id(*p), group(*g));
                let event = assignment::Event::Assigned { policy, group, tie, at };
                encoded::<Assignment>(assignment::stream_id(policy, group), &event)
            }
            Self::Surveyed(n, what) => {
                let facts = Some(surveyed(*what));
                let message = enroll::DeviceFactsChanged { facts, facts_digest: vec![*what; 32] };
                other(Aggregate::Enrollment, device(*n).uuid(), kind::FACTS_CHANGED, &message)
            }
            Self::Rules(current) => {
                let rules =
                    if *current { enroll::RulesAsOf::Current } else { enroll::RulesAsOf::RulesAsOf202309 };
                let scope = enroll::EnforcementScope { rules_as_of: rules.into(), ..Default::default() };
                let message = enroll::EnforcementScopeChanged { enforcement_scope: Some(scope) };
                other(Aggregate::TenantSettings, Uuid::nil(), kind::SCOPE_CHANGED, &message)
            }
            Self::Granted(w, from, to) => {
                let event = waiver::Event::Granted { grant: grant(*from, *to), origin: origin(at) };
                encoded::<Waiver>(waiver_id(*w).uuid(), &event)
            }
            Self::Ended(w, true) => encoded::<Waiver>(waiver_id(*w).uuid(), &waiver::Event::Expired { at }),
            Self::Ended(w, false) => {
                encoded::<Waiver>(waiver_id(*w).uuid(), &waiver::Event::Revoked { origin: origin(at) })
            }
            Self::CheckIns(hints) => {
                let values = Values { hints_per_second: u32::from(*hints) + 1, ..Values::default() };
                let event = check_in_settings::Event::Changed { values, origin: origin(at) };
                encoded::<CheckInSettings>(Uuid::nil(), &event)
            }
            Self::SyncAsked(ordinals) => {
                let message = pb::DevicesSyncRequested { devices: bits(ordinals) };
                other(Aggregate::Sync, Uuid::nil(), kind::DEVICES_SYNC_REQUESTED, &message)
            }
            Self::Unassigned(p, g) => {
                let (policy, group) = (policy_id(*p), group(*g));
                let event = assignment::Event::Unassigned { policy, group };
                encoded::<Assignment>(assignment::stream_id(policy, group), &event)
            }
        };
        envelope(position, aggregate, id, kind, payload)
    }
}

pub(super) fn logs(facts: &[Fact]) -> [Vec<Envelope>; 3] {
    let mut logs: [Vec<Envelope>; 3] = Default::default();
    for (revision, fact) in (2..).zip(facts) {
        let log = match fact {
            Fact::Onboarded(_)
            | Fact::ManagedElsewhere(_)
            | Fact::Authority(..)
            | Fact::Refused(_)
            | Fact::Offboarding(..)
            | Fact::Removed(_)
            | Fact::Merged(_)
            | Fact::Surveyed(..)
            | Fact::Rules(_) => 0,
            Fact::Trusted(_)
            | Fact::Suspected(_)
            | Fact::Resolved(_)
            | Fact::Defined(_)
            | Fact::Joined(..)
            | Fact::Left(..) => 1,
            Fact::Created(..)
            | Fact::Revised(..)
            | Fact::Deleted(_)
            | Fact::Undeleted(_)
            | Fact::Assigned(..)
            | Fact::Preferred(..)
            | Fact::Granted(..)
            | Fact::Ended(..)
            | Fact::CheckIns(_)
            | Fact::SyncAsked(_)
            | Fact::Unassigned(..) => 2,
        };
        let position = logs[log].len() as u64 + 1;
        logs[log].push(fact.event(position, revision));
    }
    logs
}

pub(super) fn empty() -> Fleet {
    let metrics = PolicyMetrics::default();
    Fleet::new(Catalogue::builtin(), Watches::new(metrics.clone()), metrics)
}

/// Folds the logs, taking each time from the log that `choice` names, and settling after every `run` events.
pub(super) fn folded(logs: &[Vec<Envelope>; 3], choices: &[u8], run: usize) -> Fleet {
    folded_and(logs, choices, run, |_, _| {})
}

/// The same; after each run `settled` is given the view and how many events it has folded.
pub(super) fn folded_and(
    logs: &[Vec<Envelope>; 3],
    choices: &[u8],
    run: usize,
    mut settled: impl FnMut(&Fleet, u64),
) -> Fleet {
    let mut fleet = empty();
    let mut dirty = Dirty::everything();
    let mut next = [0; 3];
    let mut choices = choices.iter().cycle();
    let total = logs.iter().map(Vec::len).sum::<usize>();
    for count in 1..=total {
        let start = usize::from(*choices.next().unwrap_or(&0)) % 3;
        let log = (0..3).map(|i| (start + i) % 3).find(|log| next[*log] < logs[*log].len()).unwrap();
        fleet.apply(&logs[log][next[log]], &mut dirty).unwrap();
        next[log] += 1;
        if count % run == 0 {
            fleet.settle(&Positions::ZERO, &mut dirty);
            settled(&fleet, count as u64);
        }
    }
    fleet.settle(&Positions::ZERO, &mut dirty);
    settled(&fleet, total as u64);
    fleet
}

pub(super) fn rows(fleet: &Fleet) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    fleet.row_keys(&mut |key| {
        rows.insert(key.to_vec(), fleet.encode_row(key).unwrap());
    });
    rows
}

pub(super) fn effective(fleet: &Fleet) -> Vec<Option<(Effective, Vec<SettingId>)>> {
    let of =
        |device: &Device| (Effective::clone(fleet.effective(device)), fleet.kept(device).cloned().collect());
    (0..4).map(|n| fleet.device(device(n)).map(of)).collect()
}
