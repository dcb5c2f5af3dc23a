//! The agent's own folder: the key that never leaves the device, who the device is, and the last good policy.
//!
//! | file | holds |
//! |---|---|
//! | `format` | version of this layout |
//! | `lock` | held while an agent runs |
//! | `key.pkcs8` | private key, mode 0600 |
//! | `enrollment.pb` | the answer to onboarding, as it came |
//! | `policy.pb` | the last good signed policy, as it came |
//! | `progress.json` | what is in force, and the digests the services know |
//! | `owned-mdatp.json` | the engine's record |

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use muster_errors::ErrorCode;
use muster_pki::csr;
use muster_proto::enroll::v1::OnboardResponse;
use muster_types::Timestamp;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::replace;

/// Version of the layout.
const FORMAT: u32 = 1;

/// What is in force, and what the services know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Etag, version and moment of the policy in force.
    pub applied: Option<(Vec<u8>, u64, Timestamp)>,
    /// Digest of the facts last reported, as the service understood them.
    pub facts_digest: Vec<u8>,
    /// The facts last reported, as sent.
    pub facts: Vec<u8>,
    /// Digest of the status last reported, as the service understood it.
    pub report_digest: Vec<u8>,
}

/// The folder, held by one agent.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    _lock: Option<File>,
}

impl StateDir {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `DATA_DIR_TOO_NEW`, `DATA_DIR_IN_USE`, `DATA_DIR_READ_ONLY`, `DISK_FULL`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let format = dir.join("format");
        match fs::read_to_string(&format) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found <= FORMAT => {}
                _ => {
                    let message = format!(
                        "{} has format {:?}, and this agent knows up to {FORMAT}: use the agent that wrote it, or a newer one",
                        dir.display(),
                        text.trim()
                    );
                    return Err(Error::new(ErrorCode::DataDirTooNew, message));
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write(&format, format!("{FORMAT}\n").as_bytes())?;
            }
            Err(error) => return Err(unreadable(&format, error)),
        }
        let lock = File::create(dir.join("lock")).map_err(|error| unwritable(dir, error))?;
        lock.try_lock().map_err(|_| {
            let message = format!("another agent uses {}: stop it, or name another folder", dir.display());
            Error::new(ErrorCode::DataDirInUse, message)
        })?;
        Ok(Self { dir: dir.to_owned(), _lock: Some(lock) })
    }

    /// Looks into the folder without holding it: what it says may change at any moment.
    #[must_use]
    pub fn peek(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), _lock: None }
    }

    /// Where an engine keeps its record.
    #[must_use]
    pub fn record(&self, engine: &str) -> PathBuf {
        self.dir.join(format!("owned-{engine}.json"))
    }

    /// The device's key in PKCS #8; made now if there is none.
    ///
    /// # Errors
    /// `INTERNAL` when no key can be made of it, otherwise as [`StateDir::open`].
    pub fn key(&self) -> Result<Vec<u8>, Error> {
        let path = self.dir.join("key.pkcs8");
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| Error::new(ErrorCode::Internal, format!("no key could be made: {error}")))?;
        write(&path, key.serialized_der())?;
        Ok(key.serialize_der())
    }

    /// A certificate request for the device's key.
    ///
    /// # Errors
    /// As [`StateDir::key`].
    pub fn certificate_request(&self) -> Result<Vec<u8>, Error> {
        let damaged = |error: rcgen::Error| {
            let place = self.dir.join("key.pkcs8");
            Error::new(ErrorCode::Internal, format!("{} is no usable key: {error}", place.display()))
        };
        let key = self.key()?;
        let key = rcgen::KeyPair::try_from(key.as_slice()).map_err(damaged)?;
        csr::create(&key).map_err(damaged)
    }

    /// The answer to onboarding.
    ///
    /// # Errors
    /// `INTERNAL` when the file is damaged.
    pub fn enrollment(&self) -> Result<Option<OnboardResponse>, Error> {
        let path = self.dir.join("enrollment.pb");
        read(&path)?.map(|bytes| OnboardResponse::decode(&*bytes).map_err(|_| damaged(&path))).transpose()
    }

    /// Keeps the answer to onboarding.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_enrollment(&self, response: &OnboardResponse) -> Result<(), Error> {
        write(&self.dir.join("enrollment.pb"), &response.encode_to_vec())
    }

    /// The last good policy as it came.
    ///
    /// # Errors
    /// `INTERNAL` when the file cannot be read.
    pub fn policy(&self) -> Result<Option<Vec<u8>>, Error> {
        read(&self.dir.join("policy.pb"))
    }

    /// Keeps the last good policy.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_policy(&self, signed: &[u8]) -> Result<(), Error> {
        let path = self.dir.join("policy.pb");
        if read(&path)?.as_deref() == Some(signed) {
            return Ok(());
        }
        write(&path, signed)
    }

    /// What is in force, and what the services know.
    ///
    /// # Errors
    /// `INTERNAL` when the file cannot be read.
    pub fn progress(&self) -> Result<Progress, Error> {
        let bytes = read(&self.dir.join("progress.json"))?;
        // Damaged, it costs a report and a survey more, and nothing else.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Keeps what is in force, and what the services know.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_progress(&self, progress: &Progress) -> Result<(), Error> {
        write(&self.dir.join("progress.json"), &serde_json::to_vec(progress).expect("plain fields are JSON"))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    replace::replace(path, content, 0o600, 0o700).map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    let code = replace::code(&error, ErrorCode::DataDirReadOnly);
    Error::new(code, format!("{} cannot be written: {error}", path.display())).because(error)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorCode::Internal, format!("{} cannot be read: {error}", path.display())).because(error)
}

fn damaged(path: &Path) -> Error {
    let message = format!("{} is damaged: remove it and onboard again with a token", path.display());
    Error::new(ErrorCode::Internal, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let key = state.key().unwrap();
        assert_eq!(state.key().unwrap(), key);
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("state"), mode("state/key.pkcs8")), (0o700, 0o600));
        let first = csr::parse(&state.certificate_request().unwrap()).unwrap();
        let again = csr::parse(&state.certificate_request().unwrap()).unwrap();
        assert_eq!(first.spki_der(), again.spki_der());
    }

    #[test]
    fn a_folder_of_a_newer_version_or_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = || StateDir::open(dir.path()).map(drop).map_err(|error| error.code);
        let held = StateDir::open(dir.path()).unwrap();
        assert_eq!(open(), Err(ErrorCode::DataDirInUse));
        drop(held);
        assert_eq!(open(), Ok(()));
        fs::write(dir.path().join("format"), "2\n").unwrap();
        assert_eq!(open(), Err(ErrorCode::DataDirTooNew));
    }

    #[test]
    fn what_is_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!((state.enrollment().unwrap(), state.policy().unwrap()), (None, None));
        let response = OnboardResponse { device: "tenants/default/devices/x".into(), ..Default::default() };
        let applied = Some((vec![1; 32], 3, Timestamp::from_micros(5)));
        let progress = Progress { applied, ..Progress::default() };
        state.keep_enrollment(&response).unwrap();
        state.keep_policy(b"signed").unwrap();
        state.keep_progress(&progress).unwrap();
        assert_eq!(state.enrollment().unwrap(), Some(response));
        assert_eq!(state.policy().unwrap().as_deref(), Some(&b"signed"[..]));
        assert_eq!(state.progress().unwrap(), progress);
    }
}
