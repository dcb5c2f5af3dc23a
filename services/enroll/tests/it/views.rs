//! A view that was stopped anywhere, stored and taken up again is the view that was never stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_enroll::commands::{Asked, Commands, IssueToken, OnboardDevice, device_id, token_id};
use muster_enroll::domain::enrollment::TakenBack;
use muster_enroll::domain::facts::DeviceFacts;
use muster_enroll::domain::onboarding_token::Terms;
use muster_enroll::domain::scope::{Entitlement, EntitlementKind, Scope, ScopeMode};
use muster_enroll::projection::{Devices, Settings, Tokens};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::{Dirty, View};
use muster_eventlog::{Actor, Context, Delivery, Envelope, EventType};
use muster_proto::identity::v1::{RegistrationPromoted, TrustEstablished};
use muster_proto::policy::v1::DevicesSeen;
use muster_types::{
    Aggregate, DeviceId, EventId, FixedClock, Positions, RequestId, Service, StreamId, TenantId, Timestamp,
    Version,
};
use proptest::prelude::*;
use prost::Message as _;
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::server::TestDevice;

const TENANT: TenantId = TenantId::DEFAULT;

/// Something that happens, to one of a few tokens, devices and keys.
#[derive(Debug, Clone)]
enum Happening {
    Issue(u8),
    Revoke(u8),
    Onboard { token: u8, device: u8, key: u8 },
    Rename { device: u8, name: u8 },
    Succeed { device: u8, key: u8 },
    Tag { device: u8, tag: u8 },
    Untag { device: u8, tag: u8 },
    Offboard(u8),
    Confirm(u8),
    Delete(u8),
    Merge { device: u8, into: u8 },
    Allow(u8),
    Scope { linux: ScopeMode, seats: u32 },
    Redecide(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    let device = || 0..4_u8;
    let mode = proptest::sample::select(vec![ScopeMode::Off, ScopeMode::Tagged, ScopeMode::All]);
    let onboard = (0..3_u8, device(), 0..2_u8);
    prop_oneof![
        2 => (0..3_u8).prop_map(Happening::Issue),
        1 => (0..3_u8).prop_map(Happening::Revoke),
        6 => onboard.prop_map(|(token, device, key)| Happening::Onboard { token, device, key }),
        2 => (device(), 0..3_u8).prop_map(|(device, name)| Happening::Rename { device, name }),
        4 => (device(), 0..2_u8).prop_map(|(device, key)| Happening::Succeed { device, key }),
        2 => (device(), 0..3_u8).prop_map(|(device, tag)| Happening::Tag { device, tag }),
        1 => (device(), 0..3_u8).prop_map(|(device, tag)| Happening::Untag { device, tag }),
        1 => device().prop_map(Happening::Offboard),
        1 => device().prop_map(Happening::Confirm),
        1 => device().prop_map(Happening::Delete),
        1 => (device(), device()).prop_map(|(device, into)| Happening::Merge { device, into }),
        1 => device().prop_map(Happening::Allow),
        1 => (mode, 0..4_u32).prop_map(|(linux, seats)| Happening::Scope { linux, seats }),
        2 => device().prop_map(Happening::Redecide),
    ]
}

fn request(number: u8) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn id(device: u8) -> (TenantId, DeviceId) {
    (TENANT, device_id(TENANT, &[device; 32]))
}

fn facts(device: u8, name: u8) -> DeviceFacts {
    let facts = DeviceFacts::try_from(TestDevice::new(device).facts).expect("facts");
    DeviceFacts { hostname: format!("host-{name}"), ..facts }
}

/// Lets it happen; refusals are part of life.
async fn happen(commands: &Commands, happening: Happening) {
    let ada = || Asked::new(Actor::admin("ada"), RequestId::generate());
    let tag = |tag: u8| vec![["MDE-Management", "pilot", "red"][usize::from(tag)].to_owned()];
    match happening {
        Happening::Issue(token) => {
            let issue = IssueToken {
                tenant: TENANT,
                request: request(token),
                secret_hash: [1; 32],
                ttl: Duration::from_secs(60),
                terms: Terms { uses_max: 3, tags: vec!["pilot".into()], ..Terms::default() },
                validate_only: false,
            };
            drop(commands.issue_token(&issue, Actor::admin("ada")).await);
        }
        Happening::Revoke(token) => {
            let token = token_id(TENANT, request(token));
            drop(commands.revoke_token((TENANT, token), request(100), false, Actor::admin("ada")).await);
        }
        Happening::Onboard { token, device, key } => {
            let wish = OnboardDevice {
                tenant: TENANT,
                device: None,
                token: token_id(TENANT, request(token)),
                secret_hash: [1; 32],
                key_digest: [key; 32],
                facts: facts(device, 0),
                troubles: vec![],
            };
            drop(commands.onboard(&wish).await);
        }
        Happening::Rename { device, name } => {
            drop(commands.report_facts(id(device), facts(device, name), vec![]).await);
        }
        Happening::Succeed { device, key } => {
            let spiffe_id = format!("spiffe://muster.local/tenant/default/device/{}", id(device).1);
            drop(commands.succeed(id(device), [key; 32], &spiffe_id).await);
        }
        Happening::Tag { device, tag: added } => {
            drop(commands.tag(&ada(), id(device), tag(added), vec![]).await);
        }
        Happening::Untag { device, tag: removed } => {
            drop(commands.tag(&ada(), id(device), vec![], tag(removed)).await);
        }
        Happening::Offboard(device) => {
            drop(commands.offboard(&ada(), id(device), Duration::from_secs(60)).await);
        }
        Happening::Confirm(device) => {
            drop(commands.confirm_offboarding(id(device), TakenBack::default()).await);
        }
        Happening::Delete(device) => drop(commands.delete(&ada(), id(device)).await),
        Happening::Merge { device, into } => {
            let cause = EventId::from_uuid(Uuid::from_u128(u128::from(device)));
            drop(commands.remove(id(device), cause, Some(id(into).1)).await);
        }
        Happening::Allow(device) => drop(commands.allow_reenrollment(&ada(), id(device)).await),
        Happening::Scope { linux, seats } => {
            let entitlement =
                Entitlement { kind: EntitlementKind::Endpoint, seats: (seats > 0).then_some(seats) };
            let change = |scope: &Scope| Ok(Scope { linux, entitlement, ..scope.clone() });
            drop(commands.change_scope(&ada(), TENANT, "", change).await);
        }
        Happening::Redecide(device) => drop(commands.redecide(id(device), None, false).await),
    }
}

async fn history(happenings: Vec<Happening>) -> Vec<Envelope> {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let commands = Commands::new(log.clone(), Arc::new(FixedClock::at(Timestamp::from_micros(5))));
    for happening in happenings {
        happen(&commands, happening).await;
    }
    let mut subscription = log.subscribe(Service::Enroll, 0).await.expect("a log");
    let mut events = Vec::new();
    while let Some(Delivery::Events(more)) = subscription.next().await.expect("a log") {
        events.extend(more);
    }
    events
}

/// What identity and policy say meanwhile.
#[derive(Debug, Clone)]
enum Said {
    Established { device: u8, full: bool },
    Promoted(u8),
    Removed(u8),
    Seen(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        4 => (0..5_u8, any::<bool>()).prop_map(|(device, full)| Said::Established { device, full }),
        1 => (0..5_u8).prop_map(Said::Promoted),
        1 => (0..5_u8).prop_map(Said::Removed),
        2 => proptest::collection::vec(0..6_u8, 1..4).prop_map(Said::Seen),
    ]
}

fn envelope(said: &Said, position: u64) -> Envelope {
    let registration = |device: u8| StreamId::new(TENANT, Aggregate::Registration, id(device).1.uuid());
    let (stream, kind, payload) = match said {
        Said::Established { device, full } => {
            let (kind, join_type) = if *full { (2, "AzureAD") } else { (1, "") };
            let event = TrustEstablished { kind, join_type: join_type.into(), ..Default::default() };
            (registration(*device), "muster.identity.v1.TrustEstablished", event.encode_to_vec())
        }
        Said::Promoted(device) => {
            let event = RegistrationPromoted { join_type: "Workplace".into(), ..Default::default() };
            (registration(*device), "muster.identity.v1.RegistrationPromoted", event.encode_to_vec())
        }
        Said::Removed(device) => (registration(*device), "muster.identity.v1.RegistrationRemoved", vec![]),
        Said::Seen(ordinals) => {
            let ordinals: RoaringBitmap = ordinals.iter().copied().map(u32::from).collect();
            let mut devices = Vec::new();
            ordinals.serialize_into(&mut devices).expect("a buffer grows");
            let stream = StreamId::new(TENANT, Aggregate::Presence, Uuid::nil());
            (stream, "muster.policy.v1.DevicesSeen", DevicesSeen { devices }.encode_to_vec())
        }
    };
    Envelope {
        position,
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position))),
        stream,
        version: Version(position),
        kind: EventType::new(kind),
        context: Context {
            actor: Actor::service(Service::Identity),
            time: Timestamp::from_micros(
                1_700_000_000_000_000 + i64::try_from(position).expect("few events") * 1_000_000,
            ),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: payload.into(),
    }
}

/// Two logs in one order of many; each keeps its own.
fn merged(one: &[Envelope], other: &[Envelope], mut turns: impl Iterator<Item = bool>) -> Vec<Envelope> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut all = Vec::new();
    while one.peek().is_some() || other.peek().is_some() {
        let first = other.peek().is_none() || (one.peek().is_some() && turns.next().unwrap_or(true));
        all.extend(if first { one.next() } else { other.next() }.cloned());
    }
    all
}

type StoredRows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows<V: View>(view: &V) -> StoredRows {
    let mut rows = StoredRows::new();
    view.row_keys(&mut |key| {
        rows.insert(key.to_vec(), view.encode_row(key).expect("a row for each key"));
    });
    rows
}

fn fold<V: View>(view: &mut V, events: &[Envelope], stored: &mut StoredRows) {
    let mut dirty = Dirty::default();
    events.iter().for_each(|event| view.apply(event, &mut dirty).expect("an event that can be folded"));
    for key in dirty.keys() {
        match view.encode_row(key) {
            Some(row) => stored.insert(key.to_vec(), row),
            None => stored.remove(key),
        };
    }
}

fn stopping_changes_nothing<V: View + Default>(events: &[Envelope], cut: usize) {
    let (mut whole, mut written_behind) = (V::default(), StoredRows::new());
    fold(&mut whole, events, &mut written_behind);
    assert_eq!(rows(&whole), written_behind, "what was marked is what changed");

    let (mut first, mut stored) = (V::default(), StoredRows::new());
    fold(&mut first, &events[..cut], &mut stored);
    let mut taken_up = V::default();
    stored.iter().for_each(|(key, value)| taken_up.load_row(key, value).expect("a stored row"));
    taken_up.loaded(&Positions::ZERO);
    fold(&mut taken_up, &events[cut..], &mut stored);
    assert_eq!(rows(&taken_up), rows(&whole));
    assert_eq!(stored, rows(&whole));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn from_scratch_and_incremental_are_the_same(
        happenings in proptest::collection::vec(happening(), 0..60),
        said in proptest::collection::vec(said(), 0..20),
        turns in proptest::collection::vec(any::<bool>(), 0..80),
        cut in any::<proptest::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let events = runtime.block_on(history(happenings));
        let others: Vec<_> = (1..).zip(&said).map(|(position, said)| envelope(said, position)).collect();
        let all = merged(&events, &others, turns.into_iter());
        let cut = cut.index(all.len() + 1);
        stopping_changes_nothing::<Devices>(&all, cut);
        stopping_changes_nothing::<Tokens>(&all, cut);
        stopping_changes_nothing::<Settings>(&all, cut);

        // In whatever order the logs come.
        let (mut merged_view, mut one_by_one) = (Devices::default(), Devices::default());
        fold(&mut merged_view, &all, &mut StoredRows::new());
        fold(&mut one_by_one, &others, &mut StoredRows::new());
        fold(&mut one_by_one, &events, &mut StoredRows::new());
        prop_assert_eq!(rows(&merged_view), rows(&one_by_one));
    }
}
