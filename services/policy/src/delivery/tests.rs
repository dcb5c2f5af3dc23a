use muster_eventlog::command::State as _;
use muster_eventlog::memory::MemoryLog;
use muster_types::{FixedClock, Timestamp};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(4);

fn telling(log: SharedLog) -> Telling {
    Telling {
        deliveries: Deliveries::default(),
        tenant: TenantId::DEFAULT,
        log,
        clock: Arc::new(FixedClock::at(Timestamp::from_micros(5))),
        metrics: PolicyMetrics::default(),
    }
}

async fn told(log: &SharedLog) -> Vec<Vec<(u8, Step, Vec<u32>)>> {
    let events = log.read(stream(TenantId::DEFAULT), Version::NONE).await.unwrap();
    let events = events.iter().map(|envelope| {
        let Event { delivered, first } = Delivery::decode(envelope).unwrap().unwrap();
        assert_eq!(first, Some(NOW));
        let told =
            delivered.into_iter().map(|one| (one.etag[0], one.step, one.devices.into_iter().collect()));
        told.collect()
    });
    events.collect()
}

async fn passes(millis: u64, running: impl Future<Output = ()>) -> Result<(), tokio::time::error::Elapsed> {
    tokio::time::timeout(Duration::from_millis(millis), running).await
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_is_told_every_second_and_at_the_end_and_nothing_when_nothing_was() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let telling = telling(log.clone());
    let (deliveries, stopping) = (telling.deliveries.clone(), CancellationToken::new());
    let mut running = std::pin::pin!(telling.run(stopping.clone()));
    deliveries.note(7, &[1; 32], Step::Sent, NOW);
    deliveries.note(3, &[1; 32], Step::Sent, NOW);
    assert!(passes(990, &mut running).await.is_err());
    assert_eq!(told(&log).await.len(), 0);
    assert!(passes(20, &mut running).await.is_err());
    assert_eq!(told(&log).await, [[(1, Step::Sent, vec![3, 7])]]);
    deliveries.note(7, &[1; 32], Step::Sent, NOW);
    assert!(passes(10_000, &mut running).await.is_err());
    assert_eq!(told(&log).await.len(), 1, "the same again is no news");
    deliveries.note(7, &[1; 32], Step::Refused, NOW);
    stopping.cancel();
    passes(1, &mut running).await.unwrap();
    assert_eq!(told(&log).await[1], [(1, Step::Refused, vec![7])]);
}

#[tokio::test]
async fn two_processes_tell_in_one_stream() {
    let log: SharedLog = Arc::new(MemoryLog::default());
    let (one, other) = (telling(log.clone()), telling(log.clone()));
    let mut versions = [Version::NONE; 2];
    for ordinal in 0..3 {
        one.deliveries.note(ordinal, &[1; 32], Step::Sent, NOW);
        other.deliveries.note(ordinal + 10, &[1; 32], Step::Sent, NOW);
        one.tell(&mut versions[0]).await;
        other.tell(&mut versions[1]).await;
    }
    assert_eq!(told(&log).await.len(), 6);
}
