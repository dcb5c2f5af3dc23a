//! Promises about appending.

use futures::future::join_all;
use muster_types::{Aggregate, Digest, Service, Version};

use super::fixture::{append, context, event, head, put, read, stream, surely};
use crate::envelope::PAYLOAD_BYTES_MAX;
use crate::log::{APPEND_EVENTS_MAX, SharedLog};
use crate::{Append, AppendError};

/// Writers that race for one place.
const RACERS: usize = 16;
/// Races that are run.
const RACES: u64 = 10;

/// An event is read back with all it was written with, linked to the one before.
///
/// # Panics
/// When it is not.
pub async fn events_come_back_as_they_were_written(log: &SharedLog) {
    let stream = stream(Aggregate::Policy);
    let mut first = append(stream, 0, &["first"]);
    first.context.causation_id = None;
    first.context.traceparent = None;
    let mut second = append(stream, 1, &[""]);
    second.events[0].payload = vec![0, 255, 13, 10, 0].into();
    let positions = [put(log, first.clone()).await, put(log, second.clone()).await];
    let events = read(log, stream, 0).await;
    assert_eq!(events.len(), 2);
    let mut previous = Digest::default();
    for (event, (written, position)) in events.iter().zip([first, second].iter().zip(positions)) {
        assert_eq!(event.position, position);
        assert_eq!(event.stream, stream);
        assert_eq!(event.version, written.expected.next());
        assert_eq!(event.event_id, written.events[0].id);
        assert_eq!(event.kind, written.events[0].kind);
        assert_eq!(event.payload, written.events[0].payload);
        assert_eq!(event.context, written.context);
        assert_eq!(event.prev_hash, previous);
        previous = event.hash();
    }
}

/// Of appends that expect the same version of a stream, exactly one wins; the others learn what they missed.
///
/// # Panics
/// When none or more than one wins, or a loser wrote.
pub async fn of_racing_appends_one_wins(log: &SharedLog) {
    let stream = stream(Aggregate::Group);
    for expected in 0..RACES {
        let racers: Vec<_> = (0..RACERS).map(|_| append(stream, expected, &["mine"])).collect();
        let outcomes = join_all(racers.iter().map(|racer| surely(log, vec![racer.clone()]))).await;
        let mut winners = Vec::new();
        for (racer, outcome) in racers.iter().zip(outcomes) {
            match outcome {
                Ok(_) => winners.push(racer.events[0].id),
                Err(AppendError::Conflict { stream: of, expected: believed, found }) => {
                    assert_eq!((of, believed), (stream, Version(expected)));
                    assert!(found > believed, "a conflict with version {found}, as expected");
                }
                Err(error) => panic!("neither won nor lost: {error}"),
            }
        }
        let stored = read(log, stream, expected).await;
        assert_eq!(stored.iter().map(|event| event.event_id).collect::<Vec<_>>(), winners);
        assert_eq!(winners.len(), 1);
    }
}

/// An append repeated with the same event ids is acknowledged at its first position and writes nothing: at once, side
/// by side, and after others have gone on.
///
/// # Panics
/// When it is refused, moved or doubled.
pub async fn a_repeated_append_keeps_its_first_position(log: &SharedLog) {
    let stream = stream(Aggregate::OnboardingToken);
    let first = append(stream, 0, &["once"]);
    let repeats = join_all((0..RACERS).map(|_| surely(log, vec![first.clone()]))).await;
    let positions: Vec<_> =
        repeats.into_iter().map(|repeat| repeat.expect("a repeat is acknowledged").position).collect();
    assert!(positions.iter().all(|position| *position == positions[0]), "several places: {positions:?}");
    let many = append(stream, 1, &["a", "b", "c"]);
    let at = put(log, many.clone()).await;
    assert_eq!(put(log, many.clone()).await, at);
    for expected in 4..20 {
        put(log, append(stream, expected, &["later"])).await;
    }
    assert_eq!(put(log, first).await, positions[0]);
    assert_eq!(put(log, many).await, at);
    assert_eq!(read(log, stream, 0).await.len(), 20);
}

/// An append to several streams is there with all of its events or with none.
///
/// # Panics
/// When a part of it is.
pub async fn appends_to_many_streams_stand_or_fall_together(log: &SharedLog) {
    let [one, two] = [stream(Aggregate::OnboardingToken), stream(Aggregate::Enrollment)];
    put(log, append(two, 0, &["there"])).await;
    let refused = surely(log, vec![append(one, 0, &["a", "b"]), append(two, 0, &["c"])]).await;
    match refused {
        Err(AppendError::Conflict { stream, expected, found }) => {
            assert_eq!((stream, expected, found), (two, Version(0), Version(1)));
        }
        other => panic!("a conflict in the second stream gave {other:?}"),
    }
    assert!(read(log, one, 0).await.is_empty(), "half of a refused append is there");
    let both = vec![append(one, 0, &["a", "b"]), append(two, 1, &["c"])];
    let position = surely(log, both.clone()).await.expect("nothing stands against it").position;
    let (ones, twos) = (read(log, one, 0).await, read(log, two, 1).await);
    assert_eq!((ones.len(), twos.len()), (2, 1));
    assert_eq!(ones.iter().chain(&twos).map(|event| event.position).max(), Some(position));
    assert_eq!(ones[1].prev_hash, ones[0].hash());
    assert_eq!(surely(log, both).await.expect("a repeat is acknowledged").position, position);
    assert_eq!((read(log, one, 0).await.len(), read(log, two, 0).await.len()), (2, 2));
    put(log, append(one, 2, &["goes on"])).await;
    let most: Vec<_> = (0..APPEND_EVENTS_MAX).map(|_| event("many")).collect();
    let most = Append {
        stream: stream(Aggregate::Enrollment),
        expected: Version(0),
        events: most,
        context: context(),
    };
    put(log, most.clone()).await;
    let stored = read(log, most.stream, 0).await;
    assert!(stored.iter().map(|event| event.event_id).eq(most.events.iter().map(|event| event.id)));
}

/// Racing appends that share one of their two streams leave no half behind.
///
/// # Panics
/// When one does, or more than one wins.
pub async fn racing_appends_over_two_streams_leave_no_half(log: &SharedLog) {
    let shared = stream(Aggregate::OnboardingToken);
    let racers: Vec<_> = (0..RACERS / 2)
        .map(|_| vec![append(stream(Aggregate::Enrollment), 0, &["own"]), append(shared, 0, &["shared"])])
        .collect();
    let outcomes = join_all(racers.iter().map(|racer| surely(log, racer.clone()))).await;
    let mut winners = 0;
    for (racer, outcome) in racers.iter().zip(outcomes) {
        winners += usize::from(outcome.is_ok());
        assert_eq!(read(log, racer[0].stream, 0).await.len(), usize::from(outcome.is_ok()));
    }
    assert_eq!((winners, read(log, shared, 0).await.len()), (1, 1));
}

/// An append that breaks a rule is refused, and nothing of it is there.
///
/// # Panics
/// When it is taken.
pub async fn a_refused_append_writes_nothing(log: &SharedLog) {
    let [one, two] = [stream(Aggregate::Sync), stream(Aggregate::Sync)];
    let before = head(log, Service::Policy).await;
    let too_many: Vec<_> = (0..=APPEND_EVENTS_MAX).map(|_| event("many")).collect();
    let invalid = [
        vec![],
        vec![append(one, 0, &[])],
        vec![append(one, 0, &["fine"]), append(one, 1, &["the same stream"])],
        vec![append(one, 0, &["fine"]), append(stream(Aggregate::Group), 0, &["another service"])],
        vec![Append { events: too_many, ..append(one, 0, &[]) }],
    ];
    for appends in invalid {
        let outcome = log.append(appends).await;
        assert!(matches!(outcome, Err(AppendError::Invalid { .. })), "taken: {outcome:?}");
    }
    let large = "x".repeat(PAYLOAD_BYTES_MAX + 1);
    let outcome = log.append(vec![append(one, 0, &["fine"]), append(two, 0, &[&large])]).await;
    assert!(matches!(outcome, Err(AppendError::TooLarge { .. })), "taken: {outcome:?}");
    let ahead = surely(log, vec![append(one, 5, &["from the future"])]).await;
    assert!(matches!(ahead, Err(AppendError::Conflict { found: Version(0), .. })), "taken: {ahead:?}");
    assert_eq!(head(log, Service::Policy).await, before);
    assert!(read(log, one, 0).await.is_empty() && read(log, two, 0).await.is_empty());
    put(log, append(one, 0, &[&large[..PAYLOAD_BYTES_MAX]])).await;
    assert_eq!(read(log, one, 0).await[0].payload.len(), PAYLOAD_BYTES_MAX);
}
