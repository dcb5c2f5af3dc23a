//! The writer that others kill, trace and starve: this test binary, started again.
//!
//! It works in its current directory: the log in `log`, what to do in `load`; it says each acknowledgement on its
//! standard output as `ack <event id> <position> .`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use muster_eventlog::embedded::{EmbeddedLog, Options};
use muster_eventlog::{AppendError, EventLog};
use muster_types::{Aggregate, EventId, StreamId};

use super::{append, event_id, stream};

/// Streams that one service's writers share; the rest have one writer each.
pub(super) const CONTENDED: u64 = 1_000_000;

/// What the child does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) writers: u64,
    /// Appends of each writer.
    pub(super) appends: u64,
}

/// The command that starts the child in a directory, perhaps under another program.
pub(super) fn child(dir: &Path, load: Load, under: &[&str]) -> Command {
    std::fs::write(dir.join("load"), format!("{} {}", load.writers, load.appends)).expect("the load");
    let binary = std::env::current_exe().expect("this binary");
    let mut command = match under.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
        None => Command::new(binary),
    };
    command
        .args(["--exact", "embedded::load::the_child", "--ignored", "--nocapture"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

/// An acknowledgement as the child says it; `None` for other lines and for one cut short.
pub(super) fn acknowledged(line: &str) -> Option<(EventId, u64)> {
    let mut words = line.split(' ');
    // The harness prints the test's name on the line of the first one.
    words.by_ref().find(|word| *word == "ack")?;
    let acknowledged = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next() == Some(".")).then_some(acknowledged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the tests that need a writer in another process"]
async fn the_child() {
    let Ok(load) = std::fs::read_to_string("load") else { return };
    let mut numbers = load.split(' ').map(|number| number.parse::<u64>().expect("a number"));
    let load = Load { writers: numbers.next().expect("writers"), appends: numbers.next().expect("appends") };
    let log = Arc::new(EmbeddedLog::open(Path::new("log"), Options::default()).expect("the log opens"));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..load.writers {
        writers.spawn(write(log.clone(), writer, load.appends));
    }
    writers.join_all().await;
}

/// Appends to a stream of its own, now and then to two at once or to one that all share. Begins by repeating the last
/// append, which may or may not have been acknowledged.
async fn write(log: Arc<EmbeddedLog>, writer: u64, appends: u64) {
    let aggregate = Aggregate::ALL[usize::try_from(writer).expect("few writers") % Aggregate::ALL.len()];
    let own = stream(aggregate, writer);
    let second = stream(aggregate, writer + 10_000);
    let shared = stream(aggregate, CONTENDED);
    let mut version = length(&log, own).await;
    let mut second_version = length(&log, second).await;
    if version > 0 {
        let again = log.append(vec![append(own, version - 1, 1, 100)]).await.expect("a repeat");
        say(event_id(own, version), again.position);
    }
    for (turn, payload) in (0..appends).zip((100..4_000).step_by(40).cycle()) {
        let count = 1 + turn % 3;
        let mut together = vec![append(own, version, count, payload)];
        if turn % 5 == 0 {
            together.push(append(second, second_version, 1, 50));
            second_version += 1;
        }
        let position = log.append(together).await.expect("an append").position;
        version += count;
        if turn % 5 == 0 {
            say(event_id(second, second_version), position);
        }
        say(event_id(own, version), position - u64::from(turn % 5 == 0));
        if turn % 7 == 0 {
            contend(&log, shared).await;
        }
    }
}

/// Races others for the next version of a stream.
async fn contend(log: &EmbeddedLog, shared: StreamId) {
    let version = length(log, shared).await;
    let mut attempt = append(shared, version, 1, 20);
    attempt.events[0].id = EventId::from_uuid(uuid::Uuid::new_v4());
    let id = attempt.events[0].id;
    match log.append(vec![attempt]).await {
        Ok(appended) => say(id, appended.position),
        Err(error) => {
            let lost = matches!(error, AppendError::Conflict { found, .. } if found.0 > version);
            assert!(lost, "a racer wins or loses to another: {error}");
        }
    }
}

async fn length(log: &EmbeddedLog, stream: StreamId) -> u64 {
    let events = log.read(stream, muster_types::Version::NONE).await.expect("a stream");
    events.last().map_or(0, |last| last.version.0)
}

fn say(id: EventId, position: u64) {
    let line = format!("ack {id} {position} .\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
}
