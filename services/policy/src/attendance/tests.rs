use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use muster_eventlog::envelope::PAYLOAD_BYTES_MAX;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::{Appended, Envelope, EventLog, ReadError, Subscription};
use muster_types::{FixedClock, Timestamp};

use super::*;

fn run(boot: u8, session: u8, sequence: u64) -> Run {
    Run::new(&[boot; 16], &[session; 16], sequence)
}

fn presence(log: SharedLog) -> Presence {
    Presence {
        attendance: Attendance::default(),
        tenant: TenantId::DEFAULT,
        log,
        clock: Arc::new(FixedClock::at(Timestamp::from_micros(5))),
        every: Duration::from_secs(300),
        metrics: PolicyMetrics::default(),
    }
}

async fn told(log: &SharedLog) -> Vec<Vec<u32>> {
    let events = log.read(stream(TenantId::DEFAULT), Version::NONE).await.unwrap();
    let devices = events.iter().map(|event| {
        let DevicesSeen { devices } = DevicesSeen::decode(&event.payload[..]).unwrap();
        RoaringBitmap::deserialize_from(&devices[..]).unwrap().into_iter().collect()
    });
    devices.collect()
}

#[test]
fn the_form_that_shipped_decodes() {
    let sample = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/DevicesSeen.v1.bin"));
    let DevicesSeen { devices } = DevicesSeen::decode(&sample[..]).unwrap();
    assert_eq!(RoaringBitmap::deserialize_from(&devices[..]).unwrap(), [1, 7, 70_000].into());
}

#[test]
fn a_suspicion_is_told_once_until_it_is_taken_up() {
    let attendance = Attendance::default();
    let note =
        |boot, sequence, quarantined| attendance.note(7, run(boot, boot, sequence), 0, quarantined).turns;
    assert_eq!((note(1, 5, false), note(2, 1, false)), (None, None));
    assert_eq!(note(1, 6, false), Some([[2; 16], [1; 16]]));
    assert_eq!((note(2, 2, false), note(1, 7, false)), (None, None), "told already");
    assert_eq!((note(2, 3, true), note(1, 8, true)), (None, None), "in quarantine");
    assert_eq!(note(2, 4, false), Some([[1; 16], [2; 16]]), "and again after it was dismissed");
    attendance.untold(7);
    assert!(note(1, 9, false).is_some());
}

#[test]
fn devices_are_told_apart() {
    let attendance = Attendance::default();
    for ordinal in 0..10_000 {
        assert_eq!(attendance.note(ordinal, run(1, 1, 5), 0, false).turns, None);
    }
    assert_eq!(attendance.note(3, run(2, 2, 1), 0, false).turns, None);
    assert_eq!(attendance.note(4, run(1, 1, 6), 0, false).turns, None);
    assert_eq!(attendance.take().len(), 10_000);
    assert!(attendance.take().is_empty());
}

#[test]
fn no_piece_is_too_large_for_an_event_and_none_is_lost() {
    assert!(pieces(RoaringBitmap::new()).is_empty());
    // Every other ordinal: neither arrays nor runs make such a bitmap smaller.
    let all: RoaringBitmap = (0..9_000_000).step_by(2).chain([u32::MAX]).collect();
    let pieces = pieces(all.clone());
    for piece in &pieces {
        assert!(piece.serialized_size() + 16 <= PAYLOAD_BYTES_MAX, "{}", piece.serialized_size());
    }
    assert_eq!(pieces.len(), 4);
    assert_eq!(pieces.into_iter().fold(RoaringBitmap::new(), |all, piece| all | piece), all);
}

#[test]
fn full_state_is_asked_for_where_something_was_not_seen_and_policy_where_it_did_not_get_there() {
    let attendance = Attendance::default();
    let note = |session, sequence, version| {
        let Noted { turns: _, full_state, again } =
            attendance.note(3, run(1, session, sequence), version, false);
        (full_state, again)
    };
    assert_eq!(note(1, 40, 8), (false, false), "the first that this process sees");
    attendance.signed(3, 10);
    assert_eq!(note(1, 41, 8), (false, true), "version 10 did not get there yet");
    assert_eq!(note(1, 42, 10), (false, false));
    assert_eq!(note(1, 42, 10), (false, false), "the same call again");
    assert_eq!(note(1, 44, 10), (true, false), "one was not seen");
    assert_eq!(note(1, 45, 8), (true, true), "the machine was put back");
    assert_eq!(note(1, 40, 8), (true, true), "and so it was here");
    attendance.signed(3, 11);
    assert_eq!(note(2, 1, 11), (true, false), "the agent was restarted");
    assert_eq!(note(2, 2, 0), (false, false), "nothing is in force: the etag tells");
}

async fn passes(seconds: u64, running: impl Future<Output = ()>) -> Result<(), tokio::time::error::Elapsed> {
    tokio::time::timeout(Duration::from_secs(seconds), running).await
}

#[tokio::test(start_paused = true)]
async fn who_was_there_is_told_every_five_minutes_and_at_the_end_and_nothing_when_nobody_was() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let presence = presence(log.clone());
    let (attendance, stopping) = (presence.attendance.clone(), CancellationToken::new());
    let mut running = std::pin::pin!(presence.run(stopping.clone()));
    assert_eq!(attendance.note(1, run(1, 1, 1), 0, false).turns, None);
    assert_eq!(attendance.note(70, run(1, 1, 1), 0, false).turns, None);
    assert!(passes(299, &mut running).await.is_err());
    assert_eq!(told(&log).await, Vec::<Vec<u32>>::new());
    assert!(passes(2, &mut running).await.is_err());
    assert_eq!(told(&log).await, [vec![1, 70]]);
    assert!(passes(900, &mut running).await.is_err());
    assert_eq!(told(&log).await.len(), 1);
    assert_eq!(attendance.note(2, run(1, 1, 1), 0, false).turns, None);
    stopping.cancel();
    passes(1, &mut running).await.unwrap();
    assert_eq!(told(&log).await, [vec![1, 70], vec![2]]);
}

#[tokio::test]
async fn a_new_process_finds_the_end_of_the_stream_by_itself() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    for ordinal in 0..3 {
        let presence = presence(log.clone());
        assert_eq!(presence.attendance.note(ordinal, run(1, 1, 1), 0, false).turns, None);
        presence.tell(&mut Version::NONE.clone()).await;
    }
    assert_eq!(told(&log).await, [[0], [1], [2]]);
}

/// A log that refuses appends for a while.
#[derive(Debug, Default)]
struct Full {
    inner: MemoryLog,
    refuses: AtomicBool,
}

impl EventLog for Full {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        if self.refuses.load(Ordering::Relaxed) {
            return Box::pin(async { Err(AppendError::Full { reason: "test".into() }) });
        }
        self.inner.append(appends)
    }

    fn read(&self, stream: StreamId, after: Version) -> BoxFuture<'_, Result<Vec<Envelope>, ReadError>> {
        self.inner.read(stream, after)
    }

    fn subscribe(&self, service: Service, after: u64) -> BoxFuture<'_, Result<Subscription, ReadError>> {
        self.inner.subscribe(service, after)
    }

    fn head(&self, service: Service) -> BoxFuture<'_, Result<u64, ReadError>> {
        self.inner.head(service)
    }
}

#[tokio::test]
async fn who_could_not_be_told_of_is_told_the_next_time() {
    let full = Arc::new(Full::default());
    let presence = presence(full.clone());
    assert_eq!(presence.attendance.note(1, run(1, 1, 1), 0, false).turns, None);
    full.refuses.store(true, Ordering::Relaxed);
    presence.tell(&mut Version::NONE.clone()).await;
    full.refuses.store(false, Ordering::Relaxed);
    assert_eq!(presence.attendance.note(2, run(1, 1, 1), 0, false).turns, None);
    presence.tell(&mut Version::NONE.clone()).await;
    let log: SharedLog = full;
    assert_eq!(told(&log).await, [[1, 2]]);
}
