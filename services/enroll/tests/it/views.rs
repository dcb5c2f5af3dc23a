//! A view that was stopped anywhere, stored and taken up again is the view that was never stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_enroll::commands::{Commands, IssueToken, OnboardDevice, token_id};
use muster_enroll::domain::facts::DeviceFacts;
use muster_enroll::domain::onboarding_token::Terms;
use muster_enroll::projection::{Devices, Tokens};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::{Dirty, View};
use muster_eventlog::{Actor, Delivery, Envelope};
use muster_types::{FixedClock, Positions, RequestId, Service, TenantId, Timestamp};
use proptest::prelude::*;
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
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..3_u8).prop_map(Happening::Issue),
        (0..3_u8).prop_map(Happening::Revoke),
        (0..3_u8, 0..4_u8, 0..2_u8).prop_map(|(token, device, key)| Happening::Onboard {
            token,
            device,
            key
        }),
        (0..4_u8, 0..3_u8).prop_map(|(device, name)| Happening::Rename { device, name }),
        (0..4_u8, 0..2_u8).prop_map(|(device, key)| Happening::Succeed { device, key }),
    ]
}

fn request(token: u8) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(u128::from(token)))
}

fn facts(device: u8, name: u8) -> DeviceFacts {
    let facts = DeviceFacts::try_from(TestDevice::new(device).facts).expect("facts");
    DeviceFacts { hostname: format!("host-{name}"), ..facts }
}

/// Lets it happen; refusals are part of life.
async fn happen(commands: &Commands, happening: Happening) {
    match happening {
        Happening::Issue(token) => {
            let issue = IssueToken {
                tenant: TENANT,
                request: request(token),
                secret_hash: [1; 32],
                ttl: Duration::from_secs(60),
                terms: Terms { uses_max: 3, ..Terms::default() },
                validate_only: false,
            };
            drop(commands.issue_token(&issue, Actor::admin("ada")).await);
        }
        Happening::Revoke(token) => {
            let id = token_id(TENANT, request(token));
            drop(commands.revoke_token((TENANT, id), request(100), false, Actor::admin("ada")).await);
        }
        Happening::Onboard { token, device, key } => {
            let wish = OnboardDevice {
                tenant: TENANT,
                token: token_id(TENANT, request(token)),
                secret_hash: [1; 32],
                key_digest: [key; 32],
                facts: facts(device, 0),
            };
            drop(commands.onboard(&wish).await);
        }
        Happening::Rename { device, name } => {
            let id = muster_enroll::commands::device_id(TENANT, &[device; 32]);
            drop(commands.report_facts((TENANT, id), facts(device, name)).await);
        }
        Happening::Succeed { device, key } => {
            let id = muster_enroll::commands::device_id(TENANT, &[device; 32]);
            drop(commands.succeed((TENANT, id), [key; 32], "spiffe://muster.local/x").await);
        }
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
        cut in any::<proptest::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let events = runtime.block_on(history(happenings));
        let cut = cut.index(events.len() + 1);
        stopping_changes_nothing::<Devices>(&events, cut);
        stopping_changes_nothing::<Tokens>(&events, cut);
    }
}
