//! Replacing a file as a whole: readers see the old content or the new, never a part, also after a crash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use muster_errors::ErrorCode;

/// A new content, written and synced beside its target.
#[derive(Debug)]
#[must_use = "nothing is replaced before `commit`"]
pub(crate) struct Staged {
    temporary: PathBuf,
    target: PathBuf,
}

/// Replaces a file; the folder is made if it is missing.
///
/// # Errors
/// Whatever the file system says; the file is as it was.
pub(crate) fn replace(target: &Path, content: &[u8], mode: u32, dir_mode: u32) -> io::Result<()> {
    stage(target, content, mode, dir_mode)?.commit()
}

/// Writes the new content beside its target, where a rename is atomic.
///
/// # Errors
/// Whatever the file system says; nothing is left behind.
pub(crate) fn stage(target: &Path, content: &[u8], mode: u32, dir_mode: u32) -> io::Result<Staged> {
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"));
    };
    fs::DirBuilder::new().recursive(true).mode(dir_mode).create(dir)?;
    let temporary = dir.join(format!(".{}.muster-new", name.to_string_lossy()));
    // One fixed name: what a crash left behind goes with the next try.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = write_synced(&mut file, content, mode);
    if let Err(error) = written {
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    Ok(Staged { temporary, target: target.to_owned() })
}

fn write_synced(file: &mut File, content: &[u8], mode: u32) -> io::Result<()> {
    file.write_all(content)?;
    // Not by the umask: the product must be able to read it.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

impl Staged {
    /// Puts the new content in place.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn commit(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.target)?;
        self.target.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

/// The code by which users know a failure to write.
#[must_use]
pub(crate) fn code(error: &io::Error, otherwise: ErrorCode) -> ErrorCode {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if full { ErrorCode::DiskFull } else { otherwise }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_before_the_rename_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a/b.json");
        replace(&target, b"old", 0o644, 0o755).unwrap();
        drop(stage(&target, b"new", 0o644, 0o755).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        replace(&target, b"newer", 0o644, 0o755).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = write_synced(&mut full, b"x", 0o666).unwrap_err();
        assert_eq!(code(&error, ErrorCode::ApplyFailed), ErrorCode::DiskFull);
    }
}
