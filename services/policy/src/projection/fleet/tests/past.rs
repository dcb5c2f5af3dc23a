//! The past says what the present said then.

use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::{Append, Envelope, EventLog as _, NewEvent};
use muster_types::{Service, StreamId, TenantId, Version};

use super::*;
use crate::projection::Past;
use crate::queries::explain::{DeviceExplained, explained};
use crate::queries::past::Reading;

const LOGS: [Service; 3] = [Service::Enroll, Service::Identity, Service::Policy];

/// A log with the same events at the same positions.
async fn log_of(logs: &[Vec<Envelope>; 3]) -> SharedLog {
    let log = MemoryLog::default();
    let mut versions = BTreeMap::<StreamId, u64>::new();
    for event in logs.iter().flatten() {
        let version = versions.entry(event.stream).or_default();
        let new = NewEvent { id: event.event_id, kind: event.kind.clone(), payload: event.payload.clone() };
        let (stream, expected, context) = (event.stream, Version(*version), event.context.clone());
        let append = Append { stream, expected, events: vec![new], context };
        log.append(vec![append]).await.expect("appended");
        *version += 1;
    }
    Arc::new(log)
}

fn past_of(logs: &[Vec<Envelope>; 3], choices: &[u8]) -> Past {
    let mut past = Past::default();
    let mut dirty = Dirty::everything();
    for event in in_turn(logs, choices) {
        past.apply(event, &mut dirty).unwrap();
    }
    past
}

/// The events of all logs, taking each time from the log that a choice names.
fn in_turn<'a>(logs: &'a [Vec<Envelope>; 3], choices: &[u8]) -> Vec<&'a Envelope> {
    let mut rest = logs.each_ref().map(|log| log.iter());
    let mut choices = choices.iter().cycle();
    let total = logs.iter().map(Vec::len).sum::<usize>();
    let next = |_| {
        let start = usize::from(*choices.next().unwrap_or(&0)) % 3;
        (0..3).find_map(|log| rest[(start + log) % 3].next()).expect("there are as many")
    };
    (0..total).map(next).collect()
}

fn live(fleet: &Fleet, n: u8, positions: Positions) -> Option<DeviceExplained> {
    let told = fleet.device(device(n))?.told;
    Some(explained(fleet.tables(), fleet.catalogue(), &told, positions, None))
}

async fn then(
    log: &SharedLog,
    past: &Past,
    whole: &Fleet,
    n: u8,
    positions: Positions,
) -> Option<DeviceExplained> {
    let (id, catalogue) = (device(n), whole.catalogue());
    let reading = Reading { log, tenant: TenantId::DEFAULT, positions };
    let told = reading.told(id, whole.ordinal(id)).await.unwrap().filter(Told::is_there)?;
    let concerned = past.concerned(id, told.ordinal, &positions);
    let tables = reading.tables(&told, concerned, catalogue).await.unwrap();
    Some(explained(&tables, catalogue, &told, positions, None))
}

proptest! {
    // Each case looks at every moment of a history.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_past_moment_is_explained_as_it_was_explained_then(
        logs in any_history(),
        choices in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let log = runtime.block_on(log_of(&logs));
        let (past, whole) = (past_of(&logs, &choices), folded(&logs, &[0], usize::MAX));
        let turns = in_turn(&logs, &choices);
        // Every moment of this order of the logs, the beginning and now among them.
        for moment in 0..=turns.len() {
            let mut until: [Vec<Envelope>; 3] = Default::default();
            let mut positions = Positions::ZERO;
            for event in &turns[..moment] {
                let place = LOGS.iter().position(|log| *log == event.stream.service()).unwrap();
                until[place].push((*event).clone());
                positions.advance(event.stream.service(), event.position);
            }
            let fleet = folded(&until, &[0, 1, 2], usize::MAX);
            for n in 0..4 {
                let then = runtime.block_on(then(&log, &past, &whole, n, positions));
                prop_assert_eq!(then, live(&fleet, n, positions));
            }
        }
    }
}
