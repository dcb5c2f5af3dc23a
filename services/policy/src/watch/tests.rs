use uuid::Uuid;

use super::queue::RATE;
use super::*;

const SOON: Duration = Duration::from_secs(5);

fn device(n: u128) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(n))
}

fn hint(n: u8) -> Hint {
    Hint { etag: [n; 32], spread: Duration::ZERO, traceparent: None }
}

fn watches() -> Watches {
    Watches::new(PolicyMetrics::default())
}

fn open(watches: &Watches, devices: std::ops::Range<u128>) -> Vec<Watch> {
    devices.map(|n| watches.open(device(n), u32::try_from(n).ok()).unwrap()).collect()
}

/// What a watch has to say now, if anything.
async fn now(watch: &Watch) -> Option<Next> {
    tokio::time::timeout(Duration::ZERO, watch.next()).await.ok()
}

/// The watches that are hinted now.
async fn hinted(watches: &[Watch]) -> Vec<usize> {
    let mut hinted = Vec::new();
    for (i, watch) in watches.iter().enumerate() {
        if matches!(now(watch).await, Some(Next::Hint(_))) {
            hinted.push(i);
        }
    }
    hinted
}

#[tokio::test]
async fn a_newer_hint_replaces_one_that_waits() {
    let watches = watches();
    let watch = watches.open(device(1), Some(1)).unwrap();
    watches.hint([(device(1), hint(1)), (device(2), hint(1))]);
    watches.hint([(device(1), hint(2))]);
    assert_eq!(watch.next().await, Next::Hint(hint(2)));
    assert_eq!(now(&watch).await, None);
    watches.hint([(device(1), hint(3))]);
    assert_eq!(watch.next().await, Next::Hint(hint(3)));
}

#[tokio::test]
async fn a_newer_watch_of_a_device_ends_the_older_one() {
    let watches = watches();
    let older = watches.open(device(1), Some(7)).unwrap();
    let newer = watches.open(device(1), Some(7)).unwrap();
    assert_eq!(older.next().await, Next::TakenOver);
    drop(older);
    assert!(watches.is_open(device(1)));
    assert_eq!(watches.watching(&(0..10).collect()), [7].into_iter().collect());
    watches.hint([(device(1), hint(1))]);
    assert_eq!(newer.next().await, Next::Hint(hint(1)));
    drop(newer);
    assert!(watches.is_empty());
    assert!(watches.watching(&(0..10).collect()).is_empty());
}

#[test]
fn too_many_watches_are_refused_but_not_a_reopened_one() {
    let watches = Watches::at_most(1, PolicyMetrics::default());
    let first = watches.open(device(1), None);
    assert!(first.is_some());
    assert!(watches.open(device(2), None).is_none());
    assert!(watches.open(device(1), None).is_some());
}

#[test]
fn watches_live_30_to_60_minutes_give_or_take_a_tenth_and_not_twice_the_same() {
    let watches = watches();
    for n in 0..100 {
        let id = DeviceId::from_uuid(muster_types::id::derive("test", &[&[n]]));
        let (life, again) = (watches.open(id, None).unwrap().life(), watches.open(id, None).unwrap().life());
        for life in [life, again] {
            assert!((LIFE_MIN.mul_f64(0.9)..=LIFE_MIN.mul_f64(2.2)).contains(&life), "{life:?}");
        }
        assert_ne!(life, again);
    }
}

#[tokio::test(start_paused = true)]
async fn hints_leave_in_order_and_not_faster_than_the_cap() {
    let watches = watches();
    watches.cap(100);
    tokio::time::advance(SOON).await;
    let open = open(&watches, 0..50);
    watches.hint((0..25).map(|n| (device(n), hint(1))));
    watches.hint((0..50).rev().map(|n| (device(n), hint(2))));
    assert_eq!(hinted(&open).await, (0..10).collect::<Vec<_>>(), "a tenth of a second at once");
    let stopping = CancellationToken::new();
    let mut running = std::pin::pin!(watches.clone().run(stopping.clone()));
    assert!(tokio::time::timeout(Duration::from_millis(101), &mut running).await.is_err());
    assert_eq!(hinted(&open).await, (10..20).collect::<Vec<_>>());
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut running).await.is_err());
    assert_eq!(hinted(&open).await, [vec![20, 21, 22, 23, 24], vec![45, 46, 47, 48, 49]].concat());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut running).await.is_err());
    assert_eq!(hinted(&open).await, (25..45).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lifted_cap_holds_at_once() {
    let watches = watches();
    let open = open(&watches, 0..10_000);
    watches.hint((0..10_000).map(|n| (device(n), hint(1))));
    assert_eq!(hinted(&open).await.len(), RATE as usize / 10);
    watches.cap(1_000_000);
    let running = watches.clone().run(CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(20), running).await.is_err());
    assert_eq!(hinted(&open).await.len(), 10_000 - RATE as usize / 10);
}

#[tokio::test(start_paused = true)]
async fn those_that_leave_together_are_spread_and_a_single_one_is_not() {
    let watches = watches();
    let open = open(&watches, 0..100);
    watches.hint([(device(0), hint(1))]);
    assert_eq!(open[0].next().await, Next::Hint(hint(1)));
    watches.hint((0..100).map(|n| (device(n), hint(1))));
    let Next::Hint(Hint { spread, .. }) = open[0].next().await else { panic!("a hint") };
    assert!(spread > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn closed_watches_do_not_fill_the_queue() {
    let watches = watches();
    watches.cap(1);
    for _ in 0..10_000 {
        let watch = watches.open(device(1), None).unwrap();
        watches.hint([(device(1), hint(1))]);
        drop(watch);
    }
    assert!(watches.0.queue.lock().waiting() < 200);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_sends_watches_elsewhere_without_a_herd() {
    let watches = watches();
    let open = open(&watches, 0..20_000);
    let stopping = CancellationToken::new();
    stopping.cancel();
    watches.clone().run(stopping).await;
    for watch in &open {
        assert_eq!(watch.next().await, Next::Drained(Duration::from_secs(10)), "20,000 at 2,000 a second");
    }
    let late = watches.open(device(1), None).unwrap();
    assert_eq!(late.next().await, Next::Drained(Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_waits_when_its_watch_ends_is_not_lost() {
    let watches = watches();
    watches.cap(1);
    let open = open(&watches, 0..2);
    watches.hint([(device(0), hint(1)), (device(1), hint(1))]);
    assert_eq!(hinted(&open).await, [0]);
    let spread = Duration::from_secs(5);
    assert_eq!(open[1].take_waiting(spread), Some(Hint { spread, ..hint(1) }));
    assert_eq!(open[1].take_waiting(spread), None);
}
