//! What is told of deliveries.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

use super::*;

const ONE: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const NOW: Timestamp = Timestamp::from_micros(1);

fn told(memory: &mut Memory) -> Vec<(u8, Step, Vec<u32>)> {
    let told = memory.take().0.into_iter();
    told.map(|told| (told.etag[0], told.step, told.devices.into_iter().collect())).collect()
}

#[test]
fn each_step_is_told_once() {
    let mut memory = Memory::default();
    assert!(memory.note(7, &ONE, Step::Sent, NOW));
    assert!(memory.note(9, &ONE, Step::Sent, NOW));
    assert!(!memory.note(7, &ONE, Step::Sent, NOW));
    assert_eq!(told(&mut memory), [(1, Step::Sent, vec![7, 9])]);
    assert!(!memory.note(7, &ONE, Step::Sent, NOW), "signed anew");
    assert!(memory.note(7, &ONE, Step::Applying, NOW));
    assert!(!memory.note(7, &ONE, Step::Sent, NOW), "sent again while it is applied");
    assert_eq!(told(&mut memory), [(1, Step::Applying, vec![7])]);
    assert!(!memory.note(7, &ONE, Step::Applying, NOW));
    assert!(memory.note(7, &ONE, Step::Refused, NOW));
    assert!(memory.note(7, &ONE, Step::Applying, NOW), "it does obey");
    assert!(memory.note(7, &OTHER, Step::Sent, NOW));
    assert_eq!(told(&mut memory), [(2, Step::Sent, vec![7])], "the last alone");
    assert!(memory.note(7, &ONE, Step::Sent, NOW), "back to the first");
    assert!(memory.note(9, &ONE, Step::Refused, NOW));
    assert_eq!(told(&mut memory), [(1, Step::Sent, vec![7]), (1, Step::Refused, vec![9])]);
    assert_eq!(told(&mut memory), []);
}

#[test]
fn what_a_device_speaks_of_within_the_second_was_sent_too() {
    let mut memory = Memory::default();
    for step in [Step::Sent, Step::Applying, Step::Refused] {
        assert!(memory.note(7, &ONE, step, NOW));
    }
    let (news, first) = memory.take();
    news.iter().for_each(|delivered| memory.put_back(delivered, first));
    assert_eq!(told(&mut memory), [(1, Step::Sent, vec![7]), (1, Step::Refused, vec![7])]);
    for (etag, step) in
        [(ONE, Step::Applying), (OTHER, Step::Sent), (OTHER, Step::Applying), (ONE, Step::Sent)]
    {
        assert!(memory.note(7, &etag, step, NOW));
    }
    assert_eq!(told(&mut memory), [(1, Step::Sent, vec![7])], "of one policy alone");
}

#[test]
fn what_could_not_be_told_is_told_the_next_time_unless_something_newer_came() {
    let mut memory = Memory::default();
    for ordinal in [1, 2] {
        assert!(memory.note(ordinal, &ONE, Step::Sent, NOW));
    }
    let (untold, first) = memory.take();
    assert!(memory.note(2, &OTHER, Step::Sent, Timestamp::from_micros(2)));
    untold.iter().for_each(|delivered| memory.put_back(delivered, first));
    let (news, first) = memory.take();
    assert_eq!((news.len(), first), (2, Some(NOW)), "the first is still the first");
    news.iter().for_each(|delivered| memory.put_back(delivered, first));
    assert_eq!(told(&mut memory), [(1, Step::Sent, vec![1]), (2, Step::Sent, vec![2])]);
    assert!(memory.note(1, &ONE, Step::Applying, Timestamp::from_micros(3)));
    assert_eq!(memory.take().1, Some(Timestamp::from_micros(3)), "what was told is over");
}

#[test]
fn no_event_is_larger_than_the_log_takes() {
    let delivered = (0..40_u8).map(|n| Delivered {
        etag: [n; 32],
        step: Step::Sent,
        devices: (u32::from(n)..2_000_000).step_by(200).collect(),
    });
    let delivered: Vec<_> = delivered.collect();
    let events = events(delivered.clone(), Some(NOW));
    assert!(events.len() > 1);
    let mut together: std::collections::BTreeMap<[u8; 32], RoaringBitmap> = std::collections::BTreeMap::new();
    for event in events {
        let sizes = event.delivered.iter().map(|delivered| 48 + delivered.devices.serialized_size());
        assert!(sizes.sum::<usize>() <= muster_eventlog::envelope::PAYLOAD_BYTES_MAX - 4_096);
        event.delivered.into_iter().for_each(|told| *together.entry(told.etag).or_default() |= told.devices);
    }
    assert!(delivered.into_iter().all(|whole| together.get(&whole.etag) == Some(&whole.devices)));
}
