use std::collections::BTreeMap;

use muster_eventlog::{Actor, Context, EventType};
use muster_types::{EventId, StreamId, TenantId, Version};
use prost::Message;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::*;

const A: Digest = [1; 32];
const B: Digest = [2; 32];

fn event(position: u64, aggregate: Aggregate, kind: &str, message: &impl Message) -> Envelope {
    Envelope {
        position,
        event_id: EventId::from_uuid(Uuid::from_u128(u128::from(position))),
        stream: StreamId::new(TenantId::DEFAULT, aggregate, Uuid::nil()),
        version: Version(position),
        kind: EventType::new(kind),
        context: Context {
            actor: Actor::service(Service::Policy),
            time: Timestamp::from_micros(i64::try_from(position).expect("small") * 10),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        },
        prev_hash: [0; 32],
        payload: message.encode_to_vec().into(),
    }
}

fn bits(ordinals: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ordinals
        .iter()
        .copied()
        .collect::<RoaringBitmap>()
        .serialize_into(&mut bytes)
        .expect("written to memory");
    bytes
}

/// Devices come to a policy; what it says is told the first time.
fn resolved(position: u64, etag: Digest, devices: &[u32], is_new: bool) -> Envelope {
    let resolution = is_new.then(|| pb::Resolution { etag: etag.to_vec(), ..Default::default() });
    let resolution_id = etag.map(|byte| byte + 100).to_vec();
    let of = pb::Resolved { resolution_id, devices: bits(devices), cause_time: None, resolution };
    let message = pb::EffectivePoliciesChanged { resolved: vec![of], ..Default::default() };
    event(position, Aggregate::Resolution, kind::EFFECTIVE_POLICIES_CHANGED, &message)
}

fn nothing(position: u64, devices: &[u32]) -> Envelope {
    let message = pb::EffectivePoliciesChanged { none: bits(devices), ..Default::default() };
    event(position, Aggregate::Resolution, kind::EFFECTIVE_POLICIES_CHANGED, &message)
}

fn delivered(position: u64, etag: Digest, step: pb::DeliveryStep, devices: &[u32]) -> Envelope {
    let one = pb::Delivered { etag: etag.to_vec(), step: step.into(), devices: bits(devices) };
    let message = pb::PoliciesDelivered { delivered: vec![one], first_time: None };
    event(position, Aggregate::Delivery, kind::POLICIES_DELIVERED, &message)
}

fn past(events: &[Envelope]) -> Past {
    let (mut past, mut dirty) = (Past::default(), Dirty::everything());
    events.iter().for_each(|event| past.apply(event, &mut dirty).expect("folded"));
    past
}

fn step(position: u64) -> Option<Step> {
    let micros = i64::try_from(position).expect("small") * 10;
    Some(Step { time: Timestamp::from_micros(micros), position })
}

#[test]
fn a_device_came_to_its_policy_and_got_it_when_it_was_last_told_so() {
    let all: Vec<_> = (0..100).collect();
    let past = past(&[
        resolved(1, A, &all, true),
        delivered(2, A, pb::DeliveryStep::Sent, &[7]),
        resolved(3, B, &[7], true),
        delivered(4, B, pb::DeliveryStep::Applying, &[7]),
        resolved(5, A, &[7], false),
        delivered(6, A, pb::DeliveryStep::Sent, &all),
        nothing(7, &[7]),
    ]);
    let expected = BTreeMap::from([
        (0, ((None, None), (None, None))),
        (1, ((step(1), None), (None, None))),
        (2, ((step(1), step(2)), (None, None))),
        (3, ((None, None), (step(3), None))),
        (4, ((None, None), (step(3), None))),
        (5, ((step(5), None), (None, None))),
        (6, ((step(5), step(6)), (None, None))),
        (7, ((None, None), (None, None))),
    ]);
    for (until, (a, b)) in expected {
        let of = |etag| (past.resolved(7, etag, until), past.delivered(7, etag, until));
        assert_eq!((of(&A), of(&B)), (a, b), "up to {until}");
    }
    assert_eq!((past.resolved(8, &A, 9), past.delivered(8, &A, 9)), (step(1), step(6)));
    assert_eq!(past.resolved(100, &A, 9), None);
}

#[test]
fn one_device_costs_bytes_and_many_at_once_a_bitmap() {
    let single: Vec<_> =
        (1..=1_000).map(|position| delivered(position, A, pb::DeliveryStep::Sent, &[5])).collect();
    assert!(past(&single).size_bytes() < 64 * 1_024);
    let everyone: Vec<_> = (0..1_000_000).collect();
    assert!(past(&[resolved(1, A, &everyone, true)]).size_bytes() < 2_048);
}
