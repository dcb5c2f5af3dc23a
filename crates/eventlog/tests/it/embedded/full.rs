//! A disk without room: a small file system of its own, in a mount namespace that ends with its process.

use std::path::Path;
use std::process::Command;

use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::{AppendError, EventLog as _};
use muster_types::{Aggregate, Service};

use super::{append, replay, stream};

const SKIPPED: &str = "this machine does not let the test mount a small disk (unshare, mount)";
const UNSHARE: [&str; 4] = ["--map-root-user", "--mount", "sh", "-c"];

/// Runs a test of this binary on a small disk; `false` when this machine lets nobody mount one.
fn on_a_small_disk(name: &str) -> bool {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mount = "mount -t tmpfs -o size=48m none .";
    let run = |script: &str| {
        let binary = std::env::current_exe().expect("this binary");
        let mut command = Command::new("unshare");
        command.args(UNSHARE).arg(script).arg(binary).current_dir(temp.path());
        command.output().ok()
    };
    if !run(mount).is_some_and(|output| output.status.success()) {
        return false;
    }
    // The directory is entered anew, so that the test stands on the mount and not under it.
    let script =
        format!("{mount} && cd \"$PWD\" && touch small && exec \"$0\" --exact {name} --ignored --nocapture");
    let output = run(&script).expect("the test runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    true
}

/// Appends large events until one is not taken; tells how many were, and the answer to the next.
async fn fill(log: &EmbeddedLog, from: u64) -> (u64, AppendError) {
    let mut version = from;
    loop {
        match log.append(vec![append(stream(Aggregate::Group, 1), version, 1, 256 * 1_024)]).await {
            Ok(_) => version += 1,
            Err(error) => return (version, error),
        }
        assert!(version < 10_000, "the disk has an end");
    }
}

#[test]
fn a_disk_that_runs_full_is_noticed_before_it_hurts() {
    if !on_a_small_disk("embedded::full::the_reserve_is_kept") {
        println!("skipped: {SKIPPED}");
    }
}

#[test]
fn a_write_that_finds_no_room_is_not_acknowledged() {
    if !on_a_small_disk("embedded::full::a_failed_write_stops_the_log") {
        println!("skipped: {SKIPPED}");
    }
}

#[tokio::test]
#[ignore = "started on a small disk"]
async fn the_reserve_is_kept() {
    if !Path::new("small").exists() {
        return;
    }
    std::fs::write("ballast", vec![1; 8 << 20]).expect("ballast");
    let options = Options { disk_reserve_bytes: 8 << 20, ..Options::default() };
    let log = EmbeddedLog::open(Path::new("log"), options).expect("the log opens");
    let (taken, error) = fill(&log, 0).await;
    assert!(matches!(error, AppendError::Full { .. }), "{error:?}");
    let repeated = log.append(vec![append(stream(Aggregate::Group, 1), taken - 1, 1, 256 * 1_024)]).await;
    assert_eq!(repeated.expect("what is there is acknowledged again").position, taken);
    std::fs::remove_file("ballast").expect("room");
    let (more, _) = fill(&log, taken).await;
    assert!(more > taken, "with room again it goes on");
    drop(log);
    let log = EmbeddedLog::open(Path::new("log"), options).expect("the log opens");
    assert_eq!(replay(&log, Service::Identity).await.expect("a whole log").len() as u64, more);
}

#[tokio::test]
#[ignore = "started on a small disk"]
async fn a_failed_write_stops_the_log() {
    if !Path::new("small").exists() {
        return;
    }
    std::fs::write("ballast", vec![1; 16 << 20]).expect("ballast");
    let options = Options { disk_reserve_bytes: 0, ..Options::default() };
    let log = EmbeddedLog::open(Path::new("log"), options).expect("the log opens");
    let (taken, error) = fill(&log, 0).await;
    // Either this write found no room, or the engine's work behind it did.
    assert!(matches!(error, AppendError::Unknown { .. } | AppendError::ReadOnly { .. }), "{error:?}");
    std::fs::remove_file("ballast").expect("room");
    let (_, error) = fill(&log, taken).await;
    assert!(matches!(error, AppendError::ReadOnly { .. }), "no write follows a failed one: {error:?}");
    let readable = replay(&log, Service::Identity).await.expect("what was acknowledged stays readable");
    assert_eq!(readable.len() as u64, taken);
    drop(log);
    let log = EmbeddedLog::open(Path::new("log"), options).expect("the log opens");
    let stored = replay(&log, Service::Identity).await.expect("a whole log").len() as u64;
    assert!((taken..=taken + 1).contains(&stored), "{taken} acknowledged, {stored} stored");
    let repeated = log.append(vec![append(stream(Aggregate::Group, 1), taken, 1, 256 * 1_024)]).await;
    assert_eq!(repeated.expect("the repeat finds out").position, taken + 1);
}
