//! Files and folders as they were named, read within limits.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_errors::ErrorCode;

use super::mistake::{Findings, Place};

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most that all files have together, in bytes.
pub const TOTAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most files.
pub const FILES_MAX: usize = 10_000;
/// Deepest folder.
const FOLDER_DEPTH_MAX: usize = 32;
/// Ends of names of files that are read in a folder.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// The name of standard input.
const STDIN: &str = "-";

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it was named, or found in a folder that was.
    pub name: Arc<str>,
    /// What it says.
    pub text: String,
}

/// Reads files and folders; a folder with all that is in it, in the order of the names. What cannot be read is a mistake.
#[must_use]
pub fn read(paths: &[PathBuf], findings: &mut Findings) -> Vec<Source> {
    let mut reader = Reader { findings, sources: Vec::new(), total_bytes: 0, full: false };
    for path in paths {
        reader.path(path);
    }
    reader.sources
}

struct Reader<'a> {
    findings: &'a mut Findings,
    sources: Vec<Source>,
    total_bytes: u64,
    full: bool,
}

impl Reader<'_> {
    fn wrong(&mut self, name: &Arc<str>, message: impl Into<String>) {
        self.findings.mistake(ErrorCode::FileInvalid, Place::start(name), message);
    }

    fn path(&mut self, path: &Path) {
        let name: Arc<str> = path.display().to_string().into();
        if path == Path::new(STDIN) {
            return self.take(&name, std::io::stdin().lock());
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path, &mut Vec::new()),
            Ok(_) => self.file(path),
            Err(error) => self.wrong(&name, format!("cannot be read: {error}")),
        }
    }

    /// Reads a folder; `above` are the folders that it is in, so that a link back to one of them is seen.
    fn folder(&mut self, path: &Path, above: &mut Vec<PathBuf>) {
        let name: Arc<str> = path.display().to_string().into();
        let listed = path.canonicalize().and_then(|real| Ok((real, entries(path)?)));
        let (real, entries) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.wrong(&name, format!("cannot be read: {error}")),
        };
        if above.contains(&real) {
            return self.wrong(&name, "is a symbolic link to a folder that it is in");
        }
        if above.len() >= FOLDER_DEPTH_MAX {
            return self.wrong(&name, format!("more than {FOLDER_DEPTH_MAX} folders deep"));
        }
        above.push(real);
        for entry in entries {
            if self.full {
                break;
            }
            let wanted = entry.extension().is_some_and(|end| EXTENSIONS.iter().any(|wanted| end == *wanted));
            match fs::metadata(&entry) {
                Ok(found) if found.is_dir() => self.folder(&entry, above),
                Ok(found) if found.is_file() && wanted => self.file(&entry),
                Ok(_) => {}
                Err(error) if wanted || entry.is_symlink() => {
                    self.wrong(&entry.display().to_string().into(), format!("cannot be read: {error}"));
                }
                Err(_) => {}
            }
        }
        above.pop();
    }

    fn file(&mut self, path: &Path) {
        let name: Arc<str> = path.display().to_string().into();
        match fs::File::open(path) {
            Ok(file) => self.take(&name, file),
            Err(error) => self.wrong(&name, format!("cannot be read: {error}")),
        }
    }

    fn take(&mut self, name: &Arc<str>, file: impl std::io::Read) {
        let mut bytes = Vec::new();
        // One byte more than the limit tells a file at the limit from one over it.
        if let Err(error) = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes) {
            return self.wrong(name, format!("cannot be read: {error}"));
        }
        let length = bytes.len() as u64;
        if length > FILE_BYTES_MAX {
            return self.wrong(name, format!("larger than {} MiB", FILE_BYTES_MAX >> 20));
        }
        self.total_bytes += length;
        if self.total_bytes > TOTAL_BYTES_MAX || self.sources.len() >= FILES_MAX {
            self.full = true;
            let limits = format!("{FILES_MAX} files or {} MiB", TOTAL_BYTES_MAX >> 20);
            return self
                .wrong(name, format!("more than {limits} together; this file and later ones are not read"));
        }
        match text(bytes) {
            Ok(text) => self.sources.push(Source { name: Arc::clone(name), text }),
            Err((line, column)) => {
                let place = Place { file: Arc::clone(name), line, column };
                self.findings.mistake(ErrorCode::FileInvalid, place, "is not UTF-8 from here on");
            }
        }
    }
}

/// What is in a folder, in the order of the names; hidden files are left out.
fn entries(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// The text, or line and column where it is none.
fn text(bytes: Vec<u8>) -> Result<String, (u64, u64)> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let (before, last) = good.rsplit_once('\n').unwrap_or(("", &good));
        let lines = before.matches('\n').count() + usize::from(good.contains('\n'));
        (lines as u64 + 1, last.chars().count() as u64 + 1)
    })
}
