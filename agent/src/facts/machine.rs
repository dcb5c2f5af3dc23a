//! Reading a machine's files, whatever they hold.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::homes;

/// Longest text in the facts, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 255;
/// Largest part of a file that is read.
pub(super) const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 4096;
/// Most lines of os-release that are looked at.
const ASSIGNMENTS_MAX: usize = 256;

pub(super) struct Machine {
    root: PathBuf,
}

impl Machine {
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A plain file; a pipe or device is not opened, for it may never end.
    pub(super) fn open(&self, path: &str) -> Option<File> {
        let path = self.root.join(path);
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        File::open(path).ok()
    }

    /// The beginning of a plain file, in bytes.
    pub(super) fn bytes(&self, path: &str, bytes_max: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(bytes_max).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Whether nothing stands there, or a file without content.
    pub(super) fn is_empty(&self, path: &str) -> bool {
        fs::metadata(self.root.join(path)).map_or(true, |metadata| metadata.len() == 0)
    }

    /// The beginning of a plain file; what is no UTF-8 is replaced.
    pub(super) fn read(&self, path: &str, bytes_max: u64) -> Option<String> {
        self.bytes(path, bytes_max).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line, made fit for the facts; `None` when nothing is left of it.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let content = self.read(path, FILE_BYTES_MAX)?;
        let line = fit(content.lines().next().unwrap_or_default());
        (!line.is_empty()).then_some(line)
    }

    pub(super) fn dmi(&self, name: &str) -> Option<String> {
        self.text(&format!("sys/class/dmi/id/{name}"))
    }

    /// Whether something stands there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Whether something stands there that may not be read.
    pub(super) fn hides(&self, path: &str) -> bool {
        let opened = File::open(self.root.join(path));
        opened.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    }

    /// Names in a folder.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().take(ENTRIES_MAX);
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Looks in the users' homes for one of the `files` whose text `tells`.
    pub(super) fn search_homes(&self, files: &[&str], tells: fn(&str) -> bool) -> homes::Search {
        homes::search(&self.root, files, tells)
    }

    pub(super) fn os_release(&self) -> Vec<(String, String)> {
        let content = self
            .read("etc/os-release", FILE_BYTES_MAX)
            .or_else(|| self.read("usr/lib/os-release", FILE_BYTES_MAX))
            .unwrap_or_default();
        content.lines().filter_map(assignment).take(ASSIGNMENTS_MAX).collect()
    }
}

/// A line `KEY=value` of os-release, without its quotes.
fn assignment(line: &str) -> Option<(String, String)> {
    let (key, value) = line.trim().split_once('=')?;
    let value = value.trim();
    let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let sound = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    sound.then(|| (key.to_owned(), fit(bare.unwrap_or(value))))
}

/// Without control characters and outer white space, and no longer than a text of the facts may be.
pub(super) fn fit(text: &str) -> String {
    // Not the whole of what may be a megabyte: a few characters more than can be kept.
    let kept: String = text.trim().chars().filter(|c| !c.is_control()).take(TEXT_BYTES_MAX).collect();
    let kept = kept.trim();
    kept[..kept.floor_char_boundary(TEXT_BYTES_MAX)].trim_end().to_owned()
}
