//! The data directory: whose it is, in which format, and what was acknowledged from it.
//!
//! ```text
//! FORMAT         "muster-log 1"
//! LOCK           held by the process that has the log open
//! ACKNOWLEDGED   the last position acknowledged of each service, in two slots written in turn
//! store/         the store of the engine
//! ```
//! `ACKNOWLEDGED` is written after each sync and before each acknowledgement, and never synced itself: after a power cut
//! it may be behind the log, but never ahead. So a log that ends before it has lost what was acknowledged, which the
//! store alone cannot tell from a write that was cut short.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::OpenError;

const FORMAT_NAME: &str = "muster-log";
/// The newest format this version reads, and the one it writes.
const FORMAT_VERSION: u32 = 1;

/// A data directory that this process holds.
#[derive(Debug)]
pub(super) struct DataDir {
    root: PathBuf,
    /// The lock lives as long as the file is open.
    _lock: File,
}

impl DataDir {
    /// Takes a directory, creating it if it is not there.
    pub(super) fn take(root: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::from_io(root, &error);
        fs::create_dir_all(root).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("LOCK"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: root.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let dir = Self { root: root.to_owned(), _lock: lock };
        dir.check_format()?;
        Ok(dir)
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let text = match fs::read(self.root.join("FORMAT")) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return self.write_format(),
            Err(error) => return Err(OpenError::from_io(&self.root, &error)),
        };
        let version = text
            .strip_suffix('\n')
            .and_then(|line| line.strip_prefix(FORMAT_NAME)?.strip_prefix(' ')?.parse::<u32>().ok())
            .filter(|version| *version > 0)
            .ok_or_else(|| self.corrupt("FORMAT is not readable"))?;
        if version > FORMAT_VERSION {
            return Err(OpenError::TooNew {
                path: self.root.clone(),
                found: version,
                supported: FORMAT_VERSION,
            });
        }
        Ok(())
    }

    fn write_format(&self) -> Result<(), OpenError> {
        if self.store().exists() || self.root.join("ACKNOWLEDGED").exists() {
            return Err(self.corrupt("FORMAT is missing"));
        }
        let write = || {
            let (new, path) = (self.root.join("FORMAT.new"), self.root.join("FORMAT"));
            let mut file = File::create(&new)?;
            writeln!(file, "{FORMAT_NAME} {FORMAT_VERSION}")?;
            file.sync_all()?;
            fs::rename(new, path)?;
            self.sync()
        };
        write().map_err(|error| OpenError::from_io(&self.root, &error))
    }

    /// Folder of the engine's store.
    pub(super) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Makes an empty store, whole or not at all. A process that dies in the middle leaves a folder that the next one
    /// throws away.
    pub(super) fn create_store(
        &self,
        create: impl FnOnce(&Path) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let failed = |error: io::Error| OpenError::from_io(&self.root, &error);
        let new = self.root.join("store.new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        create(&new)?;
        fs::rename(new, self.store()).and_then(|()| self.sync()).map_err(failed)
    }

    /// Opens what was acknowledged.
    pub(super) fn acknowledged(&self) -> Result<(Acknowledged, [u64; 4]), OpenError> {
        let path = self.root.join("ACKNOWLEDGED");
        let failed = |error: io::Error| OpenError::from_io(&self.root, &error);
        if !path.exists() {
            let file = File::create_new(&path).map_err(failed)?;
            file.write_all_at(&[0; 2 * SLOT_BYTES], 0)
                .and_then(|()| file.sync_all())
                .and_then(|()| self.sync())
                .map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut bytes = [0; 2 * SLOT_BYTES];
        file.read_exact_at(&mut bytes, 0).map_err(|_| self.corrupt("ACKNOWLEDGED is cut short"))?;
        let slots = bytes.as_chunks::<SLOT_BYTES>().0.iter().filter_map(Slot::decode);
        let last =
            slots.max_by_key(|slot| slot.turn).ok_or_else(|| self.corrupt("ACKNOWLEDGED is not readable"))?;
        Ok((Acknowledged { file, turn: last.turn }, last.positions))
    }

    /// Bytes that may still be written to the file system.
    pub(super) fn room(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(super) fn corrupt(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Corrupt { path: self.root.clone(), reason: reason.into() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }
}

/// The record of what was acknowledged.
#[derive(Debug)]
pub(super) struct Acknowledged {
    file: File,
    turn: u64,
}

impl Acknowledged {
    /// Notes the last positions, in the slot that holds the older note.
    pub(super) fn note(&mut self, positions: [u64; 4]) -> io::Result<()> {
        self.turn += 1;
        let slot = Slot { turn: self.turn, positions };
        self.file.write_all_at(&slot.encode(), (self.turn % 2) * SLOT_BYTES as u64)
    }
}

const SLOT_BYTES: usize = 64;

struct Slot {
    turn: u64,
    positions: [u64; 4],
}

impl Slot {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let numbers = [self.turn].into_iter().chain(self.positions);
        for (to, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *to = number.to_be_bytes();
        }
        let crc = crc32fast::hash(&bytes[..40]);
        bytes[40..44].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// A slot that was never written is all zeros, and stands for nothing acknowledged.
    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        if *bytes == [0; SLOT_BYTES] {
            return Some(Self { turn: 0, positions: [0; 4] });
        }
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        let slot = Self {
            turn: numbers.next()?,
            positions: [numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?],
        };
        (slot.encode() == *bytes).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_of_two_notes_counts_and_a_torn_one_does_not() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let dir = DataDir::take(temp.path()).expect("a fresh directory");
        let (mut notes, first) = dir.acknowledged().expect("fresh notes");
        assert_eq!(first, [0; 4]);
        notes.note([1, 0, 0, 0]).expect("note");
        notes.note([2, 0, 0, 5]).expect("note");
        assert_eq!(dir.acknowledged().expect("notes").1, [2, 0, 0, 5]);
        // The second note stands in slot 0.
        notes.file.write_all_at(&[0xff; 8], 0).expect("damage");
        assert_eq!(dir.acknowledged().expect("notes").1, [1, 0, 0, 0]);
        notes.file.write_all_at(&[0xff; 8], SLOT_BYTES as u64).expect("damage");
        assert!(matches!(dir.acknowledged(), Err(OpenError::Corrupt { .. })));
    }
}
