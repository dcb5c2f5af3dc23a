//! Reactions: told at least once, in order, from where they were.

use std::collections::HashSet;
use std::sync::Arc;

use muster_eventlog::kv::{Kv, MemoryKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::react::{self, REPEATED_MAX};
use muster_types::Service;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::toy::add;

const E: Service = Service::Enroll;
const I: Service = Service::Identity;

/// Follows until an event with payload 100 came through, and gives the payloads told, failed attempts included. Events
/// whose payload is in `failing` fail once.
async fn told(log: &SharedLog, kv: &Arc<dyn Kv>, failing: &[u8]) -> Vec<(Service, u8)> {
    let (done, mut is_done) = mpsc::unbounded_channel();
    let told = Mutex::new(Vec::new());
    let failing: Mutex<HashSet<u8>> = Mutex::new(failing.iter().copied().collect());
    let react = |event: muster_eventlog::Envelope| {
        let (payload, service) = (event.payload[0], event.stream.service());
        told.lock().push((service, payload));
        let fails = failing.lock().remove(&payload);
        if payload == 100 {
            done.send(()).expect("listened to");
        }
        async move { if fails { Err("not now") } else { Ok(()) } }
    };
    let stopping = async { is_done.recv().await.expect("open") };
    react::follow(log.clone(), kv.clone(), "toy", &[E, I], react, stopping).await;
    told.into_inner()
}

fn of(told: &[(Service, u8)], service: Service) -> Vec<u8> {
    told.iter().filter(|(of, _)| *of == service).map(|(_, payload)| *payload).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reaction_that_fails_is_told_again_before_the_next_event() {
    let (log, kv): (SharedLog, Arc<dyn Kv>) = (Arc::new(MemoryLog::default()), Arc::new(MemoryKv::default()));
    for payload in [1, 2, 3, 100] {
        add(&*log, E, 1, payload).await;
    }
    assert_eq!(of(&told(&log, &kv, &[2]).await, E), [1, 2, 2, 3, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_does_not_hold_up_another_log() {
    let (log, kv): (SharedLog, Arc<dyn Kv>) = (Arc::new(MemoryLog::default()), Arc::new(MemoryKv::default()));
    add(&*log, E, 1, 7).await;
    for payload in [1, 2, 100] {
        add(&*log, I, 1, payload).await;
    }
    let told = told(&log, &kv, &[7]).await;
    assert_eq!(of(&told, I), [1, 2, 100]);
    // Which log is heard first is open: the failing event may not have come up yet.
    assert!(of(&told, E).iter().all(|payload| *payload == 7));
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_near_where_it_was() {
    let (log, kv): (SharedLog, Arc<dyn Kv>) = (Arc::new(MemoryLog::default()), Arc::new(MemoryKv::default()));
    for n in 0..200 {
        add(&*log, E, n, 1).await;
    }
    add(&*log, E, 1, 100).await;
    assert_eq!(told(&log, &kv, &[]).await.len(), 201);
    add(&*log, E, 2, 5).await;
    add(&*log, E, 2, 100).await;
    let again = of(&told(&log, &kv, &[]).await, E);
    assert!(again.len() <= 2 + REPEATED_MAX, "{} events told again", again.len());
    assert!(again.ends_with(&[5, 100]) || again.ends_with(&[100]), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn another_log_is_told_from_its_beginning() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::default());
    for payloads in [[1, 100], [2, 100]] {
        let log: SharedLog = Arc::new(MemoryLog::default());
        for payload in payloads {
            add(&*log, E, 1, payload).await;
        }
        assert_eq!(of(&told(&log, &kv, &[]).await, E), payloads);
        // A second round moves the checkpoint past the end.
        add(&*log, E, 2, 3).await;
        add(&*log, E, 2, 100).await;
        assert!(of(&told(&log, &kv, &[]).await, E).ends_with(&[100]));
    }
}
