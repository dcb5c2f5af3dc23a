//! Views: what is folded, written behind, taken back and checked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_eventlog::kv::{Batch, Kv, MemoryKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project::{self, ViewDigest};
use muster_types::{Positions, Service};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::toy::{GONE, Moods, MoodyLog, MortalKv, POISON, Running, Toy, add, add_many};

const E: Service = Service::Enroll;
const I: Service = Service::Identity;

fn log() -> SharedLog {
    Arc::new(MemoryLog::default())
}

fn kv(rows: &MemoryKv) -> Arc<dyn Kv> {
    Arc::new(rows.clone())
}

async fn heads(log: &SharedLog) -> Positions {
    let (enroll, identity) = (log.head(E).await.expect("readable"), log.head(I).await.expect("readable"));
    Positions::of(E, enroll).join(Positions::of(I, identity))
}

async fn from_scratch(log: &SharedLog) -> Toy {
    project::rebuild(log, Toy::default(), &heads(log).await).await.expect("sound")
}

#[tokio::test]
async fn what_is_appended_can_be_read_once_its_position_was_waited_for() {
    let (log, kv) = (log(), kv(&MemoryKv::default()));
    let running = Running::<1>::start(&log, &kv);
    for payload in 1..=3 {
        let position = add(&*log, E, 7, payload).await;
        running.toy.wait_for(&Positions::of(E, position)).await.expect("folded");
        assert_eq!(running.toy.read().half(E, 7), Some((u64::from(payload), payload)));
        assert_eq!(running.toy.read().positions(), Positions::of(E, position));
        assert_eq!(running.toy.read().settled, Positions::of(E, position));
    }
    let progress = running.until(|progress| progress.caught_up).await;
    assert!(progress.is_ready());
    assert_eq!((progress.lag(E), progress.events), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_position_that_does_not_come_is_waited_for_two_seconds() {
    let (log, kv) = (log(), kv(&MemoryKv::default()));
    let running = Running::<1>::start(&log, &kv);
    let begun = tokio::time::Instant::now();
    let behind = running.toy.wait_for(&Positions::of(I, 1)).await.expect_err("nothing there");
    assert_eq!((behind.has, behind.wanted), (Positions::ZERO, Positions::of(I, 1)));
    assert_eq!(begun.elapsed().as_secs(), 2);
    // The toy does not fold the policy log: that position does not count.
    running.toy.wait_for(&Positions::of(Service::Policy, 9)).await.expect("not its business");
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_rows_back_and_folds_only_what_came_since() {
    let (log, kv) = (log(), kv(&MemoryKv::default()));
    add_many(&*log, E, 2_500, 0, 3).await;
    let running = Running::<1>::start(&log, &kv);
    running.caught_up(&*log).await;
    running.stop().await;
    add(&*log, I, 3, 9).await;
    let running = Running::<1>::start(&log, &kv);
    assert_eq!(running.caught_up(&*log).await.get(E), 2_500);
    assert_eq!(running.toy.progress().events, 1);
    assert_eq!(running.toy.read().rows(), from_scratch(&log).await.rows());
}

#[tokio::test(start_paused = true)]
async fn changed_rows_reach_the_store_without_a_shutdown() {
    let (log, kv) = (log(), kv(&MemoryKv::default()));
    let running = Running::<1>::start(&log, &kv);
    running.caught_up(&*log).await;
    add(&*log, E, 1, 5).await;
    running.caught_up(&*log).await;
    let mut stored = 0;
    while stored == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        kv.scan(b"toy\0r", &mut |_, _| stored += 1).expect("in memory");
    }
    running.kill().await;
    let running = Running::<1>::start(&log, &kv);
    running.caught_up(&*log).await;
    assert_eq!(running.toy.progress().events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_kill_between_two_batches_costs_only_time() {
    for batches in 0..12 {
        let (log, rows) = (log(), MemoryKv::default());
        let mortal = MortalKv::new(rows.clone(), batches);
        let store: Arc<dyn Kv> = mortal.clone();
        add_many(&*log, E, 2_500, 0, 3).await;
        let running = Running::<1>::start(&log, &store);
        running.caught_up(&*log).await;
        running.until(|progress| progress.rows_pending == 0).await;
        running.stop().await;
        // Every row changes: three batches, of which only the last may bring the checkpoint back.
        let running = Running::<1>::start(&log, &store);
        add_many(&*log, E, 2_500, 1, 4).await;
        running.caught_up(&*log).await;
        running.stop().await;
        assert_eq!(mortal.dead.load(Ordering::SeqCst), batches < 7, "{batches} batches");
        let running = Running::<1>::start(&log, &kv(&rows));
        running.caught_up(&*log).await;
        assert_eq!(running.toy.read().rows(), from_scratch(&log).await.rows(), "{batches} batches");
        running.stop().await;
    }
}

/// Starts on what a first run stored, after something was done to the store, and tells how many events were folded.
async fn refolded<const CONTRACT: u32>(spoil: impl FnOnce(&MemoryKv)) -> u64 {
    let (log, rows) = (log(), MemoryKv::default());
    for n in 0..20 {
        add(&*log, E, n, 3).await;
        add(&*log, I, n, 4).await;
    }
    let running = Running::<1>::start(&log, &kv(&rows));
    running.caught_up(&*log).await;
    running.stop().await;
    spoil(&rows);
    let running = Running::<CONTRACT>::start(&log, &kv(&rows));
    running.caught_up(&*log).await;
    assert_eq!(running.toy.read().rows(), from_scratch(&log).await.rows());
    let events = running.toy.progress().events;
    running.stop().await;
    events
}

#[tokio::test(start_paused = true)]
async fn stored_rows_are_used_only_if_nothing_speaks_against_them() {
    let first = |rows: &MemoryKv| {
        let mut first = None;
        rows.scan(b"toy\0r", &mut |key, value| {
            first.get_or_insert((key.to_vec(), value.to_vec()));
        })
        .expect("in memory");
        first.expect("rows were stored")
    };
    let put = |rows: &MemoryKv, key: Vec<u8>, value: Vec<u8>| {
        rows.apply(Batch { puts: vec![(key, value)], deletes: vec![] }).expect("in memory");
    };
    let lose = |rows: &MemoryKv| {
        rows.apply(Batch { puts: vec![], deletes: vec![first(rows).0] }).expect("in memory");
    };
    let change = |rows: &MemoryKv| {
        let (key, mut value) = first(rows);
        *value.last_mut().expect("not empty") ^= 1;
        put(rows, key, value);
    };
    assert_eq!(refolded::<1>(|_| ()).await, 0, "sound");
    assert_eq!(refolded::<2>(|_| ()).await, 40, "another contract");
    assert_eq!(refolded::<1>(lose).await, 40, "a lost row");
    assert_eq!(refolded::<1>(change).await, 40, "a changed row");
    assert_eq!(refolded::<1>(|rows| put(rows, first(rows).0, vec![])).await, 40, "an unreadable row");
    assert_eq!(refolded::<1>(|rows| put(rows, b"toy\0c".to_vec(), vec![1, 2])).await, 40, "no checkpoint");
}

#[tokio::test(start_paused = true)]
async fn rows_of_another_log_are_not_used() {
    let rows = kv(&MemoryKv::default());
    let old = log();
    for n in 0..3 {
        add(&*old, E, n, 3).await;
    }
    let running = Running::<1>::start(&old, &rows);
    running.caught_up(&*old).await;
    running.stop().await;
    for length in [1, 5] {
        let new = log();
        for n in 0..length {
            add(&*new, E, n + 10, 4).await;
        }
        let running = Running::<1>::start(&new, &rows);
        running.caught_up(&*new).await;
        assert_eq!(running.toy.read().rows(), from_scratch(&new).await.rows());
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_breaks_is_taken_up_where_it_was() {
    let moody = MoodyLog::new(Moods { sizes: vec![2], breaks_after: Some(3), ..Moods::default() });
    let log: SharedLog = moody.clone();
    for n in 0..30 {
        add(&*log, E, n % 4, 3).await;
    }
    let running = Running::<1>::start(&log, &kv(&MemoryKv::default()));
    running.until(|progress| progress.positions.get(E) == 30).await;
    assert!(moody.subscriptions.load(Ordering::Relaxed) > 4);
    assert_eq!(running.toy.progress().events, 30);
}

#[tokio::test(start_paused = true)]
async fn damage_stops_the_view_and_readers_keep_what_was_folded() {
    let log: SharedLog = MoodyLog::new(Moods { sizes: vec![1], corrupt_from: Some(3), ..Moods::default() });
    for payload in [5, 6, 7] {
        add(&*log, E, 1, payload).await;
    }
    let running = Running::<1>::start(&log, &kv(&MemoryKv::default()));
    let progress = running.until(|progress| progress.stopped.is_some()).await;
    assert!(!progress.is_ready());
    assert_eq!(running.toy.read().half(E, 1), Some((2, 6)));
    let begun = tokio::time::Instant::now();
    running.toy.wait_for(&Positions::of(E, 3)).await.expect_err("it will never come");
    assert!(begun.elapsed().as_secs() < 1);
    running.toy.wait_for(&Positions::of(E, 2)).await.expect("that it has");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_log_lost_stops_the_view() {
    let log: SharedLog = MoodyLog::new(Moods { lost: Some(2), ..Moods::default() });
    for payload in [5, 6, 7] {
        add(&*log, E, 1, payload).await;
    }
    let running = Running::<1>::start(&log, &kv(&MemoryKv::default()));
    let progress = running.until(|progress| progress.stopped.is_some()).await;
    assert_eq!(progress.positions, Positions::of(E, 1));
    project::rebuild(&log, Toy::<1>::default(), &heads(&log).await).await.expect_err("damaged");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_folded_stops_the_view_before_it() {
    let (log, store) = (log(), kv(&MemoryKv::default()));
    add(&*log, E, 1, 5).await;
    add(&*log, E, 1, POISON).await;
    add(&*log, E, 1, 6).await;
    for _restart in 0..2 {
        let running = Running::<1>::start(&log, &store);
        let progress = running.until(|progress| progress.stopped.is_some()).await;
        assert_eq!(progress.positions, Positions::of(E, 1));
        assert_eq!(running.toy.read().half(E, 1), Some((1, 5)));
        running.stop().await;
    }
}

#[tokio::test]
async fn verification_tells_a_sound_view_from_one_of_another_log() {
    let (log, other, store) = (log(), log(), kv(&MemoryKv::default()));
    for n in 0..10 {
        add(&*log, E, n, 3).await;
        add(&*other, E, n, 4).await;
    }
    let running = Running::<1>::start(&log, &store);
    running.caught_up(&*log).await;
    let sound = project::verify(&log, &running.toy, Toy::default(), &|_| ()).await.expect("readable");
    assert!(sound.holds());
    assert_eq!(sound.positions, Positions::of(E, 10));
    let unsound = project::verify(&other, &running.toy, Toy::default(), &|_| ()).await.expect("readable");
    assert!(!unsound.holds());
    let short: SharedLog = Arc::new(MemoryLog::default());
    project::verify(&short, &running.toy, Toy::default(), &|_| ()).await.expect_err("it ends before");
}

#[test]
fn a_digest_does_not_depend_on_order_and_notices_every_byte() {
    let rows: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b""), (b"", b"b")];
    let sum = |order: [usize; 3]| {
        let mut digest = ViewDigest::EMPTY;
        order.iter().for_each(|i| digest.add(rows[*i].0, rows[*i].1));
        digest
    };
    assert_eq!(sum([0, 1, 2]), sum([2, 0, 1]));
    let mut without = sum([0, 1, 2]);
    without.remove(b"b", b"");
    assert_ne!(without, sum([0, 1, 2]));
    let mut moved = ViewDigest::EMPTY;
    moved.add(b"ab", b"c");
    let mut stayed = ViewDigest::EMPTY;
    stayed.add(b"a", b"bc");
    assert_ne!(moved, stayed);
}

#[derive(Debug, Clone)]
struct Life {
    events: Vec<(bool, u16, u8)>,
    killed: bool,
    batches: usize,
}

fn life() -> impl Strategy<Value = Life> {
    (vec((any::<bool>(), 0..5_u16, GONE..6), 0..25), any::<bool>(), 0..6_usize)
        .prop_map(|(events, killed, batches)| Life { events, killed, batches })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn incremental_with_restarts_and_redelivery_is_from_scratch(
        lives in vec(life(), 1..6),
        sizes in vec(1..5_usize, 1..4),
        redelivered in 0..8_u64,
        more in proptest::option::of(1..5_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            // Late enough to get beyond what is delivered again.
            let breaks_after = more.map(|more| 8 + more);
            let log: SharedLog =
                MoodyLog::new(Moods { sizes, redelivered, breaks_after, ..Moods::default() });
            let rows = MemoryKv::default();
            for Life { events, killed, batches } in lives {
                let store: Arc<dyn Kv> =
                    if killed { MortalKv::new(rows.clone(), batches) } else { kv(&rows) };
                let running = Running::<1>::start(&log, &store);
                for (enroll, n, payload) in events {
                    add(&*log, if enroll { E } else { I }, n, payload).await;
                }
                let heads = heads(&log).await;
                running.until(|progress| progress.positions == heads).await;
                let expected = from_scratch(&log).await;
                {
                    let live = running.toy.read();
                    assert_eq!(live.rows(), expected.rows());
                    assert_eq!(live.positions(), heads);
                }
                assert_eq!(running.toy.digest().0, ViewDigest::of(&expected));
                if killed { running.kill().await } else { running.stop().await }
            }
        });
    }
}
