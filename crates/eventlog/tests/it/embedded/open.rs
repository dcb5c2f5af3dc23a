//! Opening a log, and what is said when it cannot be.

use std::path::Path;

use muster_errors::ErrorCode;
use muster_eventlog::embedded::{EmbeddedLog, OpenError, Options};
use muster_eventlog::{AppendError, Delivery, EventLog as _, ReadError};
use muster_types::{Aggregate, Service, Version};

use super::{append, replay, stream};

fn open(dir: &Path) -> Result<EmbeddedLog, OpenError> {
    EmbeddedLog::open(dir, Options::default())
}

fn refusal(dir: &Path) -> ErrorCode {
    open(dir).expect_err("the log does not open").code()
}

#[tokio::test]
async fn a_log_opened_again_goes_on_where_it_ended() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let group = stream(Aggregate::Group, 1);
    for round in 0..3 {
        let log = open(temp.path()).expect("the log opens");
        assert_eq!(log.head(Service::Identity).await.expect("its head"), round * 2);
        let appended = log.append(vec![append(group, round * 2, 2, 10)]).await.expect("an append");
        assert_eq!(appended.position, round * 2 + 2);
        let repeated = log.append(vec![append(group, 0, 2, 10)]).await.expect("a repeat");
        assert_eq!(repeated.position, 2, "the repeat is acknowledged where it stood first");
    }
    let log = open(temp.path()).expect("the log opens");
    let all = replay(&log, Service::Identity).await.expect("a whole log");
    assert_eq!(log.read(group, Version(0)).await.expect("the stream"), all);
    assert_eq!(log.read(group, Version(4)).await.expect("the stream"), all[4..]);
    assert_eq!(log.read(group, Version(9)).await.expect("the stream"), []);
}

#[tokio::test]
async fn appends_of_one_group_see_each_other() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let log = open(temp.path()).expect("the log opens");
    let group = stream(Aggregate::Group, 1);
    // Few enough that the runtime polls them in one go, in order.
    let waiting = (0..40).map(|version| log.append(vec![append(group, version, 1, 10)]));
    let answers = futures::future::join_all(waiting).await;
    assert!(answers.iter().all(Result::is_ok), "each follows the one before it: {answers:?}");
    let racing = (0..50).map(|racer| {
        let mut append = append(group, 40, 1, 10);
        append.events[0].id = super::event_id(group, 1_000 + racer);
        log.append(vec![append])
    });
    let answers = futures::future::join_all(racing).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let same = (0..50).map(|_| log.append(vec![append(group, 41, 1, 10)]));
    let answers = futures::future::join_all(same).await;
    assert!(answers.into_iter().all(|answer| answer.expect("a repeat").position == 42));
    assert_eq!(replay(&log, Service::Identity).await.expect("a whole log").len(), 42);
}

#[tokio::test]
async fn a_follower_gets_everything_once_whatever_its_pace() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let log = open(temp.path()).expect("the log opens");
    let mut subscription = log.subscribe(Service::Identity, 0).await.expect("a subscription");
    // More than is kept in memory: a slow reader falls back to the disk, then catches up with what is live.
    for writer in 0..12 {
        let group = stream(Aggregate::Group, writer);
        log.append(vec![append(group, 0, 1_000, 16)]).await.expect("an append");
    }
    let mut seen = 0;
    while seen < 12_000 {
        if let Some(Delivery::Events(events)) = subscription.next().await.expect("the log is readable") {
            for event in events {
                seen += 1;
                assert_eq!(event.position, seen);
            }
        }
    }
    drop(log);
    while let Some(delivery) = subscription.next().await.expect("the log is readable") {
        assert_eq!(delivery, Delivery::CaughtUp(12_000), "nothing more until the end");
    }
}

#[tokio::test]
async fn a_reader_ahead_of_the_log_is_told_so() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let log = open(temp.path()).expect("the log opens");
    let ahead = log.subscribe(Service::Report, 1).await;
    assert!(matches!(ahead, Err(ReadError::Corrupt { position: 1, .. })), "{ahead:?}");
}

#[tokio::test]
async fn a_text_over_the_limit_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let log = open(temp.path()).expect("the log opens");
    let mut long = append(stream(Aggregate::Group, 1), 0, 1, 10);
    long.context.traceparent = Some("0".repeat(1_025).into());
    let answer = log.append(vec![long]).await;
    assert!(matches!(answer, Err(AppendError::Invalid { .. })), "{answer:?}");
}

#[test]
fn a_directory_of_a_newer_version_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()).expect("a fresh log"));
    std::fs::write(temp.path().join("FORMAT"), "muster-log 2\n").expect("the marker");
    assert_eq!(refusal(temp.path()), ErrorCode::DataDirTooNew);
}

#[test]
fn a_directory_in_use_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let held = open(temp.path()).expect("a fresh log");
    assert_eq!(refusal(temp.path()), ErrorCode::DataDirInUse);
    drop(held);
    open(temp.path()).expect("free again");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    // The kernel refuses to make folders here, to root as well.
    assert_eq!(refusal(Path::new("/sys/muster-data")), ErrorCode::DataDirReadOnly);
}

#[tokio::test]
async fn a_directory_that_lost_a_part_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let log = open(temp.path()).expect("a fresh log");
    log.append(vec![append(stream(Aggregate::Group, 1), 0, 1, 10)]).await.expect("an append");
    drop(log);
    let format = std::fs::read(temp.path().join("FORMAT")).expect("the marker");
    std::fs::remove_file(temp.path().join("FORMAT")).expect("removed");
    assert_eq!(refusal(temp.path()), ErrorCode::LogCorrupt);
    std::fs::write(temp.path().join("FORMAT"), "something else").expect("the marker");
    assert_eq!(refusal(temp.path()), ErrorCode::LogCorrupt);
    std::fs::write(temp.path().join("FORMAT"), format).expect("the marker");
    std::fs::remove_dir_all(temp.path().join("store")).expect("removed");
    assert_eq!(refusal(temp.path()), ErrorCode::LogCorrupt);
}

#[test]
fn a_start_cut_short_is_begun_anew() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()).expect("a fresh log"));
    std::fs::rename(temp.path().join("store"), temp.path().join("store.new")).expect("as if cut short");
    open(temp.path()).expect("the log opens");
}
