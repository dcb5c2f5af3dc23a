//! Files that are not what was written: the log says so, or nothing was lost; it never tells wrong events.

use std::fs;
use std::path::{Path, PathBuf};

use muster_eventlog::embedded::{EmbeddedLog, OpenError, Options};
use muster_eventlog::{Envelope, EventLog as _, ReadError};
use muster_types::{Aggregate, Service, Version};

use super::{append, replay, stream};

/// Small buffers, so that a short log has tables as well as a journal.
const OPTIONS: Options = Options { disk_reserve_bytes: 1, cache_bytes: 1 << 20, buffer_bytes: 1 << 17 };
const STREAMS: u64 = 20;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry")) {
        if entry.file_type().expect("its type").is_dir() {
            files(&entry.path(), found);
        } else if entry.metadata().expect("its size").len() > 0 {
            found.push(entry.path());
        }
    }
}

/// What the log in a directory tells: its events in order, and each stream; or that it is damaged.
async fn tell(dir: &Path) -> Result<(Vec<Envelope>, Vec<Vec<Envelope>>), String> {
    let log = EmbeddedLog::open(dir, OPTIONS).map_err(|error| {
        let told = matches!(error, OpenError::Corrupt { .. } | OpenError::TooNew { .. });
        assert!(told, "damage is told as damage, not as {error:?}");
        error.to_string()
    })?;
    let damaged = |error: ReadError| {
        assert!(matches!(error, ReadError::Corrupt { .. }), "damage is told as damage, not as {error:?}");
        error.to_string()
    };
    let all = replay(&log, Service::Identity).await.map_err(damaged)?;
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        streams.push(log.read(stream(Aggregate::Group, number), Version::NONE).await.map_err(damaged)?);
    }
    Ok((all, streams))
}

async fn written(dir: &Path) {
    let log = EmbeddedLog::open(dir, OPTIONS).expect("a fresh log");
    for round in 0..40 {
        for (number, payload) in (0..STREAMS).zip((400..).step_by(10)) {
            let append = append(stream(Aggregate::Group, number), round, 1, payload);
            log.append(vec![append]).await.expect("an append");
        }
    }
    drop(log);
    // Opened once more, the engine cuts the journal to what it holds.
    drop(EmbeddedLog::open(dir, OPTIONS).expect("the log opens"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_or_harmless() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let original = temp.path().join("original");
    written(&original).await;
    let truth = tell(&original).await.expect("a whole log");
    assert_eq!(truth.0.len() as u64, 40 * STREAMS);
    drop(EmbeddedLog::open(&original, OPTIONS).expect("free again"));
    let mut names = Vec::new();
    files(&original, &mut names);
    names.retain(|name| !name.ends_with("LOCK") && !name.ends_with("lock"));
    names.sort();
    let tables = names.iter().filter(|name| name.to_string_lossy().contains("/tables/")).count();
    assert!(tables > 0, "the log has tables: {names:?}");

    let (mut found, mut harmless) = (0, 0);
    for name in &names {
        let len = fs::metadata(name).expect("its size").len();
        for damage in 0..8 {
            let copied = temp.path().join("copy");
            copy(&original, &copied);
            let victim = copied.join(name.strip_prefix(&original).expect("a file of the log"));
            let mut bytes = fs::read(&victim).expect("a file");
            let place = usize::try_from(len * (2 * (damage % 4) + 1) / 8).expect("a small file");
            if damage < 4 {
                bytes[place] ^= 1 << (place % 8);
            } else {
                bytes.truncate(place);
            }
            fs::write(&victim, bytes).expect("damaged");
            match tell(&copied).await {
                Ok(told) => {
                    assert_eq!(told, truth, "{}: damage {damage} changed what is told", name.display());
                    harmless += 1;
                }
                Err(_) => found += 1,
            }
            fs::remove_dir_all(copied).expect("removed");
        }
    }
    println!("{found} found, {harmless} harmless");
    assert!(found > harmless, "most damage shows");
}

#[tokio::test]
async fn a_journal_cut_short_is_more_than_a_torn_write() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let dir = temp.path().join("log");
    let log = EmbeddedLog::open(&dir, Options::default()).expect("a fresh log");
    for round in 0..20 {
        log.append(vec![append(stream(Aggregate::Group, 1), round, 1, 100)]).await.expect("an append");
    }
    drop(log);
    drop(EmbeddedLog::open(&dir, Options::default()).expect("the log opens"));
    let mut names = Vec::new();
    files(&dir, &mut names);
    let journal =
        names.iter().find(|name| name.extension().is_some_and(|it| it == "jnl")).expect("a journal");
    let file = fs::OpenOptions::new().write(true).open(journal).expect("the journal");
    file.set_len(file.metadata().expect("its size").len() - 1).expect("cut");
    let error = EmbeddedLog::open(&dir, Options::default()).expect_err("an acknowledged event is lost");
    assert!(error.to_string().contains("20 was acknowledged"), "{error}");
    let error = EmbeddedLog::open(&dir, Options::default()).expect_err("and stays lost");
    assert!(error.to_string().contains("20 was acknowledged"), "{error}");
}
