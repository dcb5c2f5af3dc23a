//! What users keep in their home folders.
//!
//! A home belongs to its user, who may put anything there at any moment. So folders are opened one below the other and
//! no link is followed, which keeps every file that is read inside its home; and a pipe is not waited for.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::Errno;

/// Most home folders that are looked into.
pub(super) const HOMES_MAX: usize = 1_000;
/// Largest part of a file in a home that is read.
const BYTES_MAX: u64 = 16 * 1024;
/// Homes of the superuser; the second where `/root` is a link into `/var`.
const SUPERUSERS: [&str; 2] = ["root", "var/roothome"];
/// Folders of homes; the second where `/home` is a link into `/var`.
const FOLDERS: [&str; 2] = ["home", "var/home"];
/// How everything is opened.
const HOW: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// What came of a search through the homes.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Whether a file was found that tells what was asked; the search ends there.
    pub(super) found: bool,
    /// How many homes, or folders of homes, could not be read.
    pub(super) hidden: usize,
    /// Whether there are more homes than are looked into.
    pub(super) cut: bool,
    looked: usize,
}

/// Something is there and cannot be read.
struct Hidden;

/// Looks in the homes below `root` for one of the `files` whose text `tells`.
pub(super) fn search(root: &Path, files: &[&str], tells: fn(&str) -> bool) -> Search {
    let mut search = Search::default();
    let Ok(root) = openat(CWD, root, HOW.difference(OFlags::NOFOLLOW), Mode::empty()) else {
        return search;
    };
    for home in SUPERUSERS {
        search.home(root.as_fd(), home.as_ref(), files, tells);
    }
    for folder in FOLDERS {
        search.folder(root.as_fd(), folder.as_ref(), files, tells);
    }
    search
}

impl Search {
    fn folder(&mut self, root: BorrowedFd<'_>, folder: &Path, files: &[&str], tells: fn(&str) -> bool) {
        let folder = match below(root, folder) {
            Ok(Some(folder)) => folder,
            Ok(None) => return,
            Err(Hidden) => return self.hidden += 1,
        };
        // What stands there and is no folder has no entries.
        for entry in Dir::read_from(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if self.looked == HOMES_MAX {
                self.cut = true;
            }
            if self.found || self.cut {
                return;
            }
            self.looked += 1;
            self.home(folder.as_fd(), OsStr::from_bytes(name).as_ref(), files, tells);
        }
    }

    fn home(&mut self, folder: BorrowedFd<'_>, home: &Path, files: &[&str], tells: fn(&str) -> bool) {
        let mut hidden = false;
        for file in files {
            match below(folder, &home.join(file)) {
                Ok(Some(file)) => self.found |= text(file).is_some_and(|text| tells(&text)),
                Ok(None) => {}
                Err(Hidden) => hidden = true,
            }
        }
        self.hidden += usize::from(hidden);
    }
}

/// Opens what stands at a path below a folder; `None` when there is nothing, or a link on the way.
fn below(folder: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Hidden> {
    let mut opened: Option<OwnedFd> = None;
    for name in path {
        let from = opened.as_ref().map_or(folder, AsFd::as_fd);
        opened = match openat(from, name, HOW, Mode::empty()) {
            Ok(next) => Some(next),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(_) => return Err(Hidden),
        };
    }
    Ok(opened)
}

/// The beginning of a plain file.
fn text(file: OwnedFd) -> Option<String> {
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
