//! What the log is told of what devices should have, and of what went out to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_policy::delivery;
use muster_policy::process_manager::telling;
use muster_policy::wire::kind;
use muster_proto::enroll::v1 as enroll;
use muster_proto::policy::v1 as pb;
use muster_types::{Aggregate, FixedClock, Positions, Timestamp};
use roaring::RoaringBitmap;

use crate::device::SOON;
use crate::house::{House, TENANT, device, fleet, level, payloads, tell};

type Id = Vec<u8>;

/// What was told, folded as anybody may fold it.
#[derive(Debug, Default)]
struct Folded {
    has: BTreeMap<u32, Id>,
    contents: BTreeMap<Id, pb::Resolution>,
    events: usize,
}

fn ordinals(bytes: &[u8]) -> RoaringBitmap {
    if bytes.is_empty() { RoaringBitmap::new() } else { RoaringBitmap::deserialize_from(bytes).unwrap() }
}

async fn folded(log: &SharedLog) -> Folded {
    let mut folded = Folded::default();
    let mut last = Positions::ZERO;
    for event in payloads::<pb::EffectivePoliciesChanged>(log, telling::stream(TENANT)).await {
        let pb::EffectivePoliciesChanged { positions, resolved, none, restated } = event;
        assert!(restated);
        let positions: Positions = positions.parse().unwrap();
        assert_eq!(positions.join(last), positions, "positions never go down");
        last = positions;
        for pb::Resolved { resolution_id, devices, cause_time, resolution } in resolved {
            assert!(cause_time.is_some());
            for ordinal in ordinals(&devices) {
                let before = folded.has.insert(ordinal, resolution_id.clone());
                assert_ne!(before.as_ref(), Some(&resolution_id), "{ordinal} was told twice");
            }
            if let Some(resolution) = resolution {
                let before = folded.contents.insert(resolution_id, resolution.clone());
                assert_eq!(before, None, "what somebody has is told anew");
            } else {
                assert!(folded.contents.contains_key(&resolution_id), "never told");
            }
        }
        for ordinal in ordinals(&none) {
            assert!(folded.has.remove(&ordinal).is_some(), "{ordinal} had nothing");
        }
        let has: Vec<_> = folded.has.values().cloned().collect();
        folded.contents.retain(|id, _| has.contains(id));
        folded.events += 1;
    }
    folded
}

impl Folded {
    /// What a device should have.
    fn of(&self, ordinal: u32) -> Option<&pb::Resolution> {
        self.contents.get(self.has.get(&ordinal)?)
    }

    /// Revisions of the policies that a device should have; none for one that should have nothing.
    fn revisions(&self, ordinal: u32) -> Option<Vec<u64>> {
        Some(self.of(ordinal)?.policies.iter().map(|policy| policy.revision).collect())
    }

    fn all_revisions(&self) -> Vec<Option<Vec<u64>>> {
        (0..3).map(|ordinal| self.revisions(ordinal)).collect()
    }
}

/// Waits until the devices should have policies in these revisions.
async fn until(log: &SharedLog, revisions: [Option<&[u64]>; 3]) -> Folded {
    let wanted = revisions.map(|revisions| revisions.map(<[u64]>::to_vec));
    let told = async {
        loop {
            let folded = folded(log).await;
            if folded.all_revisions() == wanted {
                return folded;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, told).await.unwrap()
}

#[tokio::test]
async fn what_devices_should_have_is_told_and_a_restart_tells_nothing_again() {
    let house = House::with_devices().await;
    let (log, clock) = (house.log().clone(), house.clock.clone());
    let first = until(&log, [Some(&[]), Some(&[]), Some(&[])]).await;
    assert_eq!(first.contents.len(), 1, "nothing reaches them");
    let policy = house.create("Servers", vec![level("real_time")]).await;
    house.assign(&policy.name, 0).await;
    let assigned = until(&log, [Some(&[1]), Some(&[1]), Some(&[])]).await;
    let resolution = assigned.of(0).unwrap();
    assert_eq!(resolution.etag, house.effective(0).await.etag);
    let setting = &resolution.settings[0];
    assert_eq!((setting.id.as_str(), &setting.winners[..]), ("linux-antivirus/enforcement_level", &[0][..]));
    assert_eq!(setting.value, level("real_time").value);

    let log_again = house.end_with_log().await;
    let house = House::on(log_again, clock);
    house.settled().await;
    tell(&log, Aggregate::Enrollment, device(1).uuid(), kind::DEVICE_DELETED, &enroll::DeviceDeleted {})
        .await;
    let deleted = until(&log, [Some(&[1]), None, Some(&[])]).await;
    assert_eq!(deleted.events, assigned.events + 1, "only what is new");
    house.end().await;
}

#[tokio::test]
async fn two_processes_tell_each_thing_once() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let clock = Arc::new(FixedClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
    fleet(&log).await;
    let (one, other) = (House::on(log.clone(), clock.clone()), House::on(log.clone(), clock));
    let policy = one.create("Servers", vec![level("real_time")]).await;
    one.assign(&policy.name, 0).await;
    until(&log, [Some(&[1]), Some(&[1]), Some(&[])]).await;
    for n in [0, 2, 1] {
        let id = device(n).uuid();
        tell(&log, Aggregate::Enrollment, id, kind::DEVICE_DELETED, &enroll::DeviceDeleted {}).await;
    }
    until(&log, [None, None, None]).await;
    one.end().await;
    other.end().await;
    folded(&log).await;
}

#[tokio::test]
async fn what_went_out_and_what_devices_say_of_it_is_told_once() {
    let house = House::with_devices().await;
    let policy = house.create("Servers", vec![level("real_time")]).await;
    house.assign(&policy.name, 0).await;
    let etag = house.effective(0).await.etag;
    let says = |sequence, received: &[u8], state: pb::ApplyState| pb::CheckInRequest {
        sequence,
        received_etag: received.to_vec(),
        apply_state: state.into(),
        ..Default::default()
    };
    for sequence in 1..4 {
        house.answer(1, says(sequence, &[], pb::ApplyState::Unspecified)).await;
        house.answer(0, says(sequence, &etag, pb::ApplyState::Refused)).await;
    }
    house.answer(1, says(4, &[7; 32], pb::ApplyState::Refused)).await;
    let in_force =
        pb::CheckInRequest { applied_etag: etag.clone(), ..says(4, &etag, pb::ApplyState::Applied) };
    house.answer(0, in_force).await;
    let log = house.end_with_log().await;
    let told = payloads::<pb::PoliciesDelivered>(&log, delivery::stream(TENANT)).await;
    let mut last = BTreeMap::new();
    for delivered in told.into_iter().flat_map(|event| event.delivered) {
        for ordinal in ordinals(&delivered.devices) {
            let said = (delivered.etag.clone(), delivered.step());
            assert_ne!(last.insert(ordinal, said.clone()), Some(said), "told twice");
        }
    }
    let expected = [(0, pb::DeliveryStep::Refused), (1, pb::DeliveryStep::Sent)];
    assert_eq!(last, expected.map(|(ordinal, step)| (ordinal, (etag.clone(), step))).into());
}
