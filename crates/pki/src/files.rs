//! Files of keys: written whole or not at all, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::TrustError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner.
    Owner,
    /// Its owner and group, as secrets are mounted.
    Group,
    /// Anyone who can enter the folder.
    All,
}

/// Largest file read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Makes a folder that only its owner may enter; one that is there is left as it is.
pub(crate) fn create_dir(dir: &Path) -> Result<(), TrustError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| TrustError::Write { path: dir.to_owned(), source })
}

/// Takes the folder for one writer, until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, TrustError> {
    let path = dir.join(".lock");
    let take = || {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    take().map_err(|source| TrustError::Write { path: path.clone(), source })
}

/// Reads a file if it is there. One that is for its owner's eyes is refused when others may read it.
pub(crate) fn read(path: &Path, readers: Readers) -> Result<Option<String>, TrustError> {
    let failed = |source| TrustError::Read { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = metadata.permissions().mode() & 0o777;
    let forbidden = match readers {
        Readers::Owner => 0o077,
        Readers::Group => 0o037,
        Readers::All => 0,
    };
    if mode & forbidden != 0 {
        return Err(TrustError::Exposed { path: path.to_owned(), mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(TrustError::Malformed { path: path.to_owned(), expected: "file of at most 64 KiB" });
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// Writes a file: under another name, to the disk, then in place.
pub(crate) fn write(path: &Path, text: &str, readers: Readers) -> Result<(), TrustError> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Group => 0o640,
        Readers::All => 0o644,
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let put = || {
        // One left behind by a crash may have other permissions than those asked for here.
        remove(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_folder_of(path)
    };
    put().map_err(|source| TrustError::Write { path: PathBuf::from(path), source })
}

/// Puts a file in the place of another of the same folder, at once.
pub(crate) fn replace(path: &Path, by: &Path) -> Result<(), TrustError> {
    let replaced = fs::rename(by, path).and_then(|()| sync_folder_of(path));
    replaced.map_err(|source| TrustError::Write { path: path.to_owned(), source })
}

/// Deletes a file; one that is not there is deleted.
pub(crate) fn delete(path: &Path) -> Result<(), TrustError> {
    let deleted = remove(path).and_then(|()| sync_folder_of(path));
    deleted.map_err(|source| TrustError::Write { path: path.to_owned(), source })
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
