//! Where an export goes.

use std::io::{BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use muster_errors::{ErrorCode, Fault};
use tempfile::NamedTempFile;

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file that is there once it is whole, or standard output.
pub(super) enum Destination {
    Stdout(BufWriter<Stdout>),
    File { path: PathBuf, file: BufWriter<NamedTempFile> },
}

impl Destination {
    /// Opens standard output for `-`, else a file beside the one that is meant.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout())));
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut beside = tempfile::Builder::new();
        beside.prefix(".muster-export-");
        as_usual(&mut beside);
        let file = beside.tempfile_in(folder).map_err(|error| cannot_write(path, &error))?;
        Ok(Self::File { path: path.to_owned(), file: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Stdout(stdout) => stdout.write_all(bytes).map_err(|error| unread(&error)),
            Self::File { path, file } => file.write_all(bytes).map_err(|error| cannot_write(path, &error)),
        }
    }

    /// Gives the file its name, in place of what had it.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush().map_err(|error| unread(&error)),
            Self::File { path, file } => {
                let wrong = |error: &std::io::Error| cannot_write(&path, error);
                let file = file.into_inner().map_err(|error| wrong(error.error()))?;
                file.as_file().sync_all().map_err(|error| wrong(&error))?;
                file.persist(&path).map(drop).map_err(|error| wrong(&error.error))
            }
        }
    }
}

/// A file with the rights that new files have; temporary ones are their owner's alone.
#[cfg(unix)]
fn as_usual(beside: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    beside.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn as_usual(_: &mut tempfile::Builder<'_, '_>) {}

fn cannot_write(path: &Path, error: &std::io::Error) -> Fault {
    let is_full = error.kind() == std::io::ErrorKind::StorageFull;
    let code = if is_full { ErrorCode::DiskFull } else { ErrorCode::ConfigInvalid };
    Fault::new(code, format!("{} cannot be written: {error}", path.display()))
}

#[expect(clippy::exit, reason = "whoever read it has what they wanted, as `head` does")]
fn unread(error: &std::io::Error) -> Fault {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    Fault::new(ErrorCode::Internal, format!("cannot write to standard output: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("devices.csv");
        std::fs::write(&path, "before").unwrap();
        let mut broken = Destination::open(&path).unwrap();
        broken.write(b"half").unwrap();
        drop(broken);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        let mut whole = Destination::open(&path).unwrap();
        whole.write(b"whole").unwrap();
        whole.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let fault = Destination::open(&dir.path().join("nowhere/devices.csv")).map(drop).unwrap_err();
        assert_eq!(fault.code, ErrorCode::ConfigInvalid);
    }
}
