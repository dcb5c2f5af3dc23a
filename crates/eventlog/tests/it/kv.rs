//! sled behind a view: whatever happens to its files costs only time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_eventlog::kv::{Batch, Kv, MemoryKv, OpenError, SledKv};
use muster_eventlog::log::SharedLog;
use muster_eventlog::memory::MemoryLog;
use muster_eventlog::project;
use muster_types::Service;
use proptest::prelude::*;

use crate::toy::{Running, Toy, add, add_many};

fn keys(kv: &dyn Kv, prefix: &[u8]) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    kv.scan(prefix, &mut |key, _| keys.push(key.to_vec())).expect("sound");
    keys
}

fn batch(puts: &[&str], deletes: &[&str]) -> Batch {
    let bytes = |text: &&str| text.as_bytes().to_vec();
    Batch {
        puts: puts.iter().map(|key| (bytes(key), b"value".to_vec())).collect(),
        deletes: deletes.iter().map(bytes).collect(),
    }
}

#[test]
fn stores_scan_and_clear_by_prefix_in_key_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let sled = SledKv::open(folder.path()).expect("opens");
    for kv in [&MemoryKv::default() as &dyn Kv, &sled] {
        kv.apply(batch(&["b2", "a", "b1", "c", "b3"], &[])).expect("sound");
        kv.apply(batch(&["b4"], &["b3", "never"])).expect("sound");
        assert_eq!(keys(kv, b"b"), [b"b1", b"b2", b"b4"]);
        assert_eq!(kv.get(b"a").expect("sound"), Some(b"value".to_vec()));
        assert_eq!(kv.get(b"b3").expect("sound"), None);
        kv.clear(b"b").expect("sound");
        assert_eq!(keys(kv, b""), [b"a", b"c"]);
        kv.flush().expect("sound");
    }
}

#[test]
fn a_store_that_is_open_is_not_opened_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = SledKv::open(folder.path()).expect("opens");
    assert!(matches!(SledKv::open(folder.path()), Err(OpenError::Held { .. })));
    drop(first);
    SledKv::open(folder.path()).expect("opens again");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, b"not a folder").expect("written");
    assert!(matches!(SledKv::open(&file.join("views")), Err(OpenError::Io { .. })));
}

fn open(folder: &Path) -> Arc<dyn Kv> {
    Arc::new(SledKv::open(folder).expect("opens, empty if need be"))
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found.sort();
    found
}

/// What happens to the files between two runs.
#[derive(Debug, Clone)]
enum Blow {
    Nothing,
    Deleted,
    /// One file is cut to a share of its length, in thousandths.
    Cut(usize, u64),
    /// One byte of one file is changed, at a share of its length in thousandths.
    Flipped(usize, u64),
    /// One file is gone.
    Gone(usize),
}

impl Blow {
    fn fall(&self, folder: &Path) {
        let sled = folder.join("sled");
        let pick = |n: usize| {
            let files = files(&sled);
            files[n % files.len()].clone()
        };
        match *self {
            Self::Nothing => {}
            Self::Deleted => fs::remove_dir_all(&sled).expect("deleted"),
            Self::Cut(file, share) => {
                let file = fs::OpenOptions::new().write(true).open(pick(file)).expect("opens");
                let len = file.metadata().expect("known").len();
                file.set_len(len * share / 1_000).expect("cut");
            }
            Self::Flipped(file, share) => {
                let path = pick(file);
                let mut bytes = fs::read(&path).expect("readable");
                let at = usize::try_from(bytes.len() as u64 * share / 1_000).expect("small");
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0x10;
                }
                fs::write(&path, bytes).expect("written");
            }
            Self::Gone(file) => fs::remove_file(pick(file)).expect("deleted"),
        }
    }
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        Just(Blow::Nothing),
        Just(Blow::Deleted),
        (0..4_usize, 0..1_000_u64).prop_map(|(file, share)| Blow::Cut(file, share)),
        (0..4_usize, 0..1_000_u64).prop_map(|(file, share)| Blow::Flipped(file, share)),
        // Most of the file is padding; what sled reads first is at the front.
        (0..4_usize, 0..60_u64).prop_map(|(file, share)| Blow::Flipped(file, share)),
        (0..4_usize).prop_map(Blow::Gone),
    ]
}

async fn survives(blows: &[Blow]) {
    let folder = tempfile::tempdir().expect("a folder");
    let log: SharedLog = Arc::new(MemoryLog::default());
    add_many(&*log, Service::Enroll, 600, 0, 3).await;
    for (blow, n) in blows.iter().zip(0..) {
        let running = Running::<1>::start(&log, &open(folder.path()));
        running.caught_up(&*log).await;
        add(&*log, Service::Identity, n, 4).await;
        let heads = {
            running.caught_up(&*log).await;
            running.toy.progress().positions
        };
        let expected: Toy = project::rebuild(&log, Toy::default(), &heads).await.expect("sound");
        assert_eq!(running.toy.read().rows(), expected.rows(), "before {blow:?}");
        running.stop().await;
        blow.fall(folder.path());
    }
    let running = Running::<1>::start(&log, &open(folder.path()));
    running.caught_up(&*log).await;
    let heads = running.toy.progress().positions;
    let expected: Toy = project::rebuild(&log, Toy::default(), &heads).await.expect("sound");
    assert_eq!(running.toy.read().rows(), expected.rows(), "after {blows:?}");
    if blows.iter().all(|blow| matches!(blow, Blow::Nothing)) {
        assert_eq!(running.toy.progress().events, 0, "undamaged rows are taken back");
    }
    running.stop().await;
}

#[tokio::test]
async fn undamaged_files_are_used_and_deleted_ones_rebuilt() {
    survives(&[Blow::Nothing, Blow::Nothing]).await;
    survives(&[Blow::Nothing, Blow::Deleted, Blow::Cut(0, 500)]).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn damage_to_the_files_costs_only_time(blows in proptest::collection::vec(blow(), 1..3)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(survives(&blows));
    }
}
