//! A writer is killed in the middle of its work, over and over, on the same directory.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use muster_eventlog::EventLog as _;
use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_types::{EventId, Service, Version};

use super::load::{self, Load, acknowledged};
use super::{replay, stream};

const ROUNDS: usize = 50;
const LOAD: Load = Load { writers: 48, appends: u64::MAX };

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// Lets the writer work, kills it, and tells what it was acknowledged.
fn round(dir: &Path, early: bool, after: Duration) -> Vec<(EventId, u64)> {
    let mut child = load::child(dir, LOAD, &[]).spawn().expect("the writer starts");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let (lines, heard) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if lines.send(acknowledged(&line)).is_err() {
                return;
            }
        }
    });
    let mut all = Vec::new();
    if !early {
        let first = std::iter::from_fn(|| heard.recv_timeout(Duration::from_secs(60)).ok()).find_map(|it| it);
        all.push(first.expect("the writer is acknowledged something within a minute"));
    }
    let end = Instant::now() + after;
    while let Ok(line) = heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
        all.extend(line);
    }
    child.kill().expect("the writer was still at work");
    child.wait().expect("the writer is gone");
    all.extend(heard.iter().flatten());
    listener.join().expect("the listener");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    let seed = high ^ low;
    println!("seed {seed:#x}");
    let mut dice = Dice(seed);
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut promised = Vec::new();
    for _ in 0..ROUNDS {
        let early = dice.roll(5) == 0;
        let after = Duration::from_millis(dice.roll(if early { 60 } else { 150 }));
        let dir = temp.path().to_owned();
        let heard = tokio::task::spawn_blocking(move || round(&dir, early, after)).await;
        promised.extend(heard.expect("a round"));
    }

    let log = EmbeddedLog::open(&temp.path().join("log"), Options::default()).expect("the log opens");
    let mut stored = HashMap::new();
    for service in Service::ALL {
        let events = replay(&log, service).await.expect("an unbroken chain without gaps");
        assert_eq!(log.head(service).await.expect("its head"), events.len() as u64);
        for event in events {
            let place = (event.stream.service(), event.position);
            assert_eq!(stored.insert(event.event_id, place), None, "seed {seed:#x}: doubled");
        }
    }
    println!("{} acknowledged, {} stored, {ROUNDS} kills", promised.len(), stored.len());
    assert!(promised.len() > ROUNDS, "seed {seed:#x}: the writers hardly came to write");
    for (id, position) in promised {
        let found = stored.get(&id).map(|(_, position)| *position);
        assert_eq!(found, Some(position), "seed {seed:#x}: event {id} was acknowledged");
    }
    let contended = stream(muster_types::Aggregate::Group, load::CONTENDED);
    let race = log.read(contended, Version::NONE).await.expect("the contended stream");
    assert!(race.iter().map(|event| event.version.0).eq(1..=race.len() as u64), "versions without a gap");
}
