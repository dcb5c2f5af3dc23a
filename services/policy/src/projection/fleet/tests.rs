//! Histories of three logs, folded.

use std::sync::Arc;

use muster_eventlog::command::State;
use muster_eventlog::{Actor, Context, Envelope, EventType};
use muster_proto::enroll::v1 as enroll;
use muster_types::{EnrollmentCode, EventId, StreamId, TenantId, Version};
use proptest::prelude::*;
use prost::Message;
use uuid::Uuid;

use super::*;
use crate::domain::assignment::Tie;
use crate::watch::Hint;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const EXPIRE: Timestamp = Timestamp::from_micros(9_000_000);

fn device(n: u8) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(u128::from(n) + 100))
}

fn group(n: u8) -> GroupId {
    GroupId::from_uuid(Uuid::from_u128(u128::from(n) + 200))
}

fn policy_id(n: u8) -> PolicyId {
    PolicyId::from_uuid(Uuid::from_u128(u128::from(n) + 300))
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
enum Fact {
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
    Unassigned(u8, u8),
}

fn bits(ordinals: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ordinals.iter().copied().collect::<RoaringBitmap>().serialize_into(&mut bytes).unwrap();
    bytes
}

fn settings(value: u8) -> BTreeMap<SettingId, SettingValue> {
    let level = ["real_time", "on_demand", "passive"][usize::from(value % 3)];
    let threats = SettingValue::Strings(vec![format!("threat-{value}")]);
    BTreeMap::from([
        ("linux-antivirus/enforcement_level".parse().unwrap(), SettingValue::Text(level.into())),
        ("linux-antivirus/allowed_threats".parse().unwrap(), threats),
    ])
}

fn content(n: u8, value: u8) -> Content {
    Content {
        display_name: format!("policy {n}"),
        settings: settings(value),
        on_unassign: on_unassign(value),
    }
}

fn origin(at: Timestamp) -> Origin {
    let request = muster_types::RequestId::from_uuid(Uuid::nil());
    Origin { actor: "admin:ada".into(), reason: String::new(), request, at }
}

/// Values from 2 on are kept.
const fn on_unassign(value: u8) -> OnUnassign {
    if value >= 2 { OnUnassign::Keep } else { OnUnassign::Revert }
}

fn encoded<S: State>(id: Uuid, event: &S::Event) -> (Aggregate, Uuid, EventType, Vec<u8>) {
    let (kind, payload) = S::encode(event);
    (S::AGGREGATE, id, kind, payload)
}

fn other(
    aggregate: Aggregate,
    id: Uuid,
    name: &str,
    message: &impl Message,
) -> (Aggregate, Uuid, EventType, Vec<u8>) {
    (aggregate, id, EventType::new(name), message.encode_to_vec())
}

impl Fact {
    fn event(&self, position: u64, revision: u64) -> Envelope {
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
            Self::Unassigned(p, g) => {
                let (policy, group) = (policy_id(*p), group(*g));
                let event = assignment::Event::Unassigned { policy, group };
                encoded::<Assignment>(assignment::stream_id(policy, group), &event)
            }
        };
        envelope(position, aggregate, id, kind, payload)
    }
}

/// Makes a random history one that can happen: each policy is created once and first, deleted while it
/// is there and brought back while it is not.
fn possible(facts: Vec<Fact>) -> Vec<Fact> {
    let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let keep = |fact: &Fact| match fact {
        Fact::Created(n, _) => there.insert(*n),
        Fact::Revised(n, _) => there.contains(n) && !gone.contains(n),
        Fact::Deleted(n) => there.contains(n) && gone.insert(*n),
        Fact::Undeleted(n) => gone.remove(n),
        Fact::Assigned(n, ..) | Fact::Unassigned(n, _) => there.contains(n),
        Fact::Onboarded(_)
        | Fact::Trusted(_)
        | Fact::ManagedElsewhere(_)
        | Fact::Authority(..)
        | Fact::Refused(_)
        | Fact::Offboarding(..)
        | Fact::Removed(_)
        | Fact::Merged(_)
        | Fact::Suspected(_)
        | Fact::Resolved(_)
        | Fact::Defined(_)
        | Fact::Joined(..)
        | Fact::Left(..) => true,
    };
    facts.into_iter().filter(keep).collect()
}

fn logs(facts: &[Fact]) -> [Vec<Envelope>; 3] {
    let mut logs: [Vec<Envelope>; 3] = Default::default();
    for (revision, fact) in (2..).zip(facts) {
        let log = match fact {
            Fact::Onboarded(_)
            | Fact::ManagedElsewhere(_)
            | Fact::Authority(..)
            | Fact::Refused(_)
            | Fact::Offboarding(..)
            | Fact::Removed(_)
            | Fact::Merged(_) => 0,
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
            | Fact::Unassigned(..) => 2,
        };
        let position = logs[log].len() as u64 + 1;
        logs[log].push(fact.event(position, revision));
    }
    logs
}

fn empty() -> Fleet {
    let metrics = PolicyMetrics::default();
    Fleet::new(Catalogue::builtin(), Watches::new(metrics.clone()), metrics)
}

/// Folds the logs, taking each time from the log that `choice` names, and settling after every `run` events.
fn folded(logs: &[Vec<Envelope>; 3], choices: &[u8], run: usize) -> Fleet {
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
        }
    }
    fleet.settle(&Positions::ZERO, &mut dirty);
    fleet
}

fn rows(fleet: &Fleet) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    fleet.row_keys(&mut |key| {
        rows.insert(key.to_vec(), fleet.encode_row(key).unwrap());
    });
    rows
}

fn effective(fleet: &Fleet) -> Vec<Option<(Effective, Vec<SettingId>)>> {
    let of = |device: &Device| (Effective::clone(&device.effective), fleet.kept(device).cloned().collect());
    (0..4).map(|n| fleet.device(device(n)).map(of)).collect()
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let ordinals = || prop::collection::vec(0..4_u32, 1..4);
    prop_oneof![
        3 => (0..4_u8).prop_map(Fact::Onboarded),
        3 => (0..4_u8).prop_map(Fact::Trusted),
        1 => (0..4_u8).prop_map(Fact::ManagedElsewhere),
        2 => (0..4_u8, any::<bool>()).prop_map(|(n, here)| Fact::Authority(n, here)),
        1 => (0..4_u8).prop_map(Fact::Refused),
        1 => (0..4_u8, any::<bool>()).prop_map(|(n, done)| Fact::Offboarding(n, done)),
        1 => (0..4_u8).prop_map(Fact::Removed),
        1 => (0..4_u8).prop_map(Fact::Merged),
        1 => (0..4_u8).prop_map(Fact::Suspected),
        1 => (0..4_u8).prop_map(Fact::Resolved),
        1 => (0..3_u8).prop_map(Fact::Defined),
        4 => (0..3_u8, ordinals()).prop_map(|(n, o)| Fact::Joined(n, o)),
        2 => (0..3_u8, ordinals()).prop_map(|(n, o)| Fact::Left(n, o)),
        4 => (0..3_u8, 0..4_u8).prop_map(|(n, v)| Fact::Created(n, v)),
        2 => (0..3_u8, 0..4_u8).prop_map(|(n, v)| Fact::Revised(n, v)),
        1 => (0..3_u8).prop_map(Fact::Deleted),
        1 => (0..3_u8).prop_map(Fact::Undeleted),
        6 => (0..3_u8, 0..3_u8, prop::bool::weighted(0.2)).prop_map(|(p, g, x)| Fact::Assigned(p, g, x)),
        2 => (0..3_u8, 0..3_u8).prop_map(|(p, g)| Fact::Unassigned(p, g)),
    ]
}

fn any_history() -> impl Strategy<Value = [Vec<Envelope>; 3]> {
    prop::collection::vec(any_fact(), 0..50).prop_map(|facts| logs(&possible(facts)))
}

proptest! {
    #[test]
    fn the_logs_may_come_in_any_order_and_in_any_runs(
        logs in any_history(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
        run in 1..20_usize,
    ) {
        let (one, other) = (folded(&logs, &[0], usize::MAX), folded(&logs, &choices, run));
        prop_assert_eq!(rows(&one), rows(&other));
        prop_assert_eq!(effective(&one), effective(&other));
    }

    #[test]
    fn what_is_stored_brings_everything_back(logs in any_history()) {
        let fleet = folded(&logs, &[2, 0, 1], 1);
        let mut again = empty();
        rows(&fleet).iter().for_each(|(key, value)| again.load_row(key, value).unwrap());
        again.loaded(&Positions::ZERO);
        prop_assert_eq!(rows(&again), rows(&fleet));
        prop_assert_eq!(effective(&again), effective(&fleet));
    }

    #[test]
    fn trust_and_membership_told_again_change_nothing(logs in any_history()) {
        let once = folded(&logs, &[0, 1, 2], 3);
        let [mut enroll, mut identity, policy] = logs;
        enroll.extend(enroll.last().cloned());
        identity.extend(identity.last().cloned());
        let twice = folded(&[enroll, identity, policy], &[0, 1, 2], 3);
        prop_assert_eq!(effective(&once), effective(&twice));
    }
}

fn story() -> Vec<Fact> {
    let mut story: Vec<_> = (0..3).flat_map(|n| [Fact::Onboarded(n), Fact::Trusted(n)]).collect();
    story.extend([
        Fact::Defined(0),
        Fact::Joined(0, vec![0, 1, 2]),
        Fact::Created(0, 0),
        Fact::Assigned(0, 0, false),
    ]);
    story
}

fn told(facts: &[Fact]) -> Fleet {
    folded(&logs(facts), &[0, 1, 2], usize::MAX)
}

#[test]
fn devices_that_do_not_differ_share_one_result_and_one_resolution() {
    let fleet = told(&story());
    let of = |n| &fleet.device(device(n)).unwrap().effective;
    assert_eq!(of(0).settings.len(), 2);
    assert!(Arc::ptr_eq(of(0), of(1)) && Arc::ptr_eq(of(1), of(2)));
    assert_eq!(fleet.metrics.resolutions(), 1);
}

#[test]
fn an_excluded_group_wins() {
    let mut story = story();
    story.extend([Fact::Joined(1, vec![1]), Fact::Assigned(0, 1, true)]);
    let fleet = told(&story);
    assert_eq!(fleet.device(device(1)).unwrap().effective.settings, []);
    assert_eq!(fleet.device(device(0)).unwrap().effective.settings.len(), 2);
}

#[test]
fn a_device_managed_elsewhere_gets_nothing() {
    let mut story = story();
    story.push(Fact::ManagedElsewhere(2));
    let fleet = told(&story);
    assert_eq!(*fleet.device(device(2)).unwrap().effective, Effective::default());
}

#[test]
fn a_device_that_is_gone_gets_nothing_and_comes_back_when_it_onboards_again() {
    for (gone, fact) in [
        (Gone::Deleted, Fact::Removed(1)),
        (Gone::Offboarded, Fact::Offboarding(1, true)),
        (Gone::Merged, Fact::Merged(1)),
    ] {
        let mut story = story();
        story.push(fact);
        let fleet = told(&story);
        assert!(fleet.device(device(1)).is_none());
        assert_eq!(fleet.gone(device(1)), Some(gone));
        assert_eq!(fleet.classes.values().map(RoaringBitmap::len).sum::<u64>(), 2);
        story.push(Fact::Onboarded(1));
        let fleet = told(&story);
        assert_eq!(fleet.gone(device(1)), None);
        assert_eq!(fleet.device(device(1)).unwrap().effective.settings.len(), 2);
    }
}

#[test]
fn authority_and_offboarding_are_told_as_the_last_event_has_them() {
    let mut story = story();
    story.push(Fact::Authority(0, false));
    let of = |story: &[Fact]| told(story).device(device(0)).unwrap().told;
    assert_eq!(of(&story).management, Management::Elsewhere(EnrollmentCode::ManagedByMdm));
    story.push(Fact::Refused(0));
    assert_eq!(of(&story).management, Management::Elsewhere(EnrollmentCode::OutOfScope));
    story.push(Fact::Authority(0, true));
    assert_eq!(of(&story).management, Management::Here);
    story.push(Fact::Offboarding(0, false));
    assert_eq!(of(&story).offboarding, Some(EXPIRE));
    assert_eq!(of(&story).facts, facts_mark(&[0; 32]));
}

#[test]
fn a_setting_is_kept_when_all_policies_in_it_say_so() {
    let kept = |values: [u8; 2]| {
        let mut story = story();
        // Lists are joined: both policies are in it. The level of both is one.
        story.extend([Fact::Revised(0, values[0]), Fact::Created(1, values[1]), Fact::Assigned(1, 0, false)]);
        let fleet = told(&story);
        let device = fleet.device(device(0)).unwrap();
        fleet.kept(device).map(|id| id.setting().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kept([2, 5]), ["allowed_threats", "enforcement_level"]);
    assert_eq!(kept([0, 3]), Vec::<String>::new());
    assert_eq!(kept([0, 1]), Vec::<String>::new());
}

#[tokio::test]
async fn a_device_is_hinted_when_what_it_must_do_changes() {
    let mut fleet = told(&story());
    for (position, fact) in (90..).zip([
        Fact::Authority(1, false),
        Fact::Authority(1, true),
        Fact::Suspected(1),
        Fact::Resolved(1),
        Fact::Offboarding(1, false),
    ]) {
        let mut watch = fleet.watches.open(device(1)).unwrap();
        let mut other = fleet.watches.open(device(0)).unwrap();
        let mut dirty = Dirty::default();
        fleet.apply(&fact.event(position, 0), &mut dirty).unwrap();
        fleet.settle(&Positions::ZERO, &mut dirty);
        assert_eq!(watch.next().await.unwrap().traceparent.as_deref(), Some(TRACE), "{fact:?}");
        fleet.apply(&fact.event(position, 0), &mut dirty).unwrap();
        fleet.settle(&Positions::ZERO, &mut dirty);
        use futures::FutureExt as _;
        assert!(watch.next().now_or_never().is_none(), "told again, it is nothing new: {fact:?}");
        assert!(other.next().now_or_never().is_none());
    }
}

#[test]
fn a_deleted_policy_reaches_nobody_until_it_is_brought_back() {
    let mut story = story();
    story.push(Fact::Deleted(0));
    let fleet = told(&story);
    assert_eq!(fleet.device(device(0)).unwrap().effective.settings, []);
    assert!(fleet.policy(policy_id(0)).is_none());
    assert!(!fleet.name_taken("policy 0", None));
    story.extend([Fact::Unassigned(0, 0), Fact::Assigned(0, 0, false), Fact::Undeleted(0)]);
    let fleet = told(&story);
    assert_eq!(fleet.device(device(0)).unwrap().effective.settings.len(), 2);
    assert!(fleet.name_taken("policy 0", None));
}

#[tokio::test]
async fn a_changed_device_is_hinted_with_the_trace_of_the_change_and_others_are_not() {
    let mut fleet = told(&story());
    let mut watch = fleet.watches.open(device(1)).unwrap();
    let mut dirty = Dirty::default();
    fleet.apply(&Fact::Left(0, vec![0]).event(90, 0), &mut dirty).unwrap();
    fleet.settle(&Positions::ZERO, &mut dirty);
    fleet.apply(&Fact::Left(0, vec![1]).event(91, 0), &mut dirty).unwrap();
    fleet.settle(&Positions::ZERO, &mut dirty);
    let hint = watch.next().await.unwrap();
    let Hint { etag, spread, traceparent } = hint;
    assert_eq!(etag, Effective::default().etag);
    assert_eq!(spread, std::time::Duration::ZERO);
    assert_eq!(traceparent.as_deref(), Some(TRACE));
}
