//! The agent's own folder: the key that never leaves the device, who the device is, and the last good policy.
//!
//! | file | holds |
//! |---|---|
//! | `format` | version of this layout |
//! | `lock` | held while an agent runs |
//! | `key.pkcs8` | private key, mode 0600 |
//! | `enrollment.pb` | the answer to onboarding, with the present certificate, trust bundle and keys that sign policies |
//! | `next-key.pkcs8` | private key of the certificate that is being got, mode 0600 |
//! | `next.pb` | that certificate, got and not used yet |
//! | `standing.json` | whether the device enforces, stood down, or leaves |
//! | `offboarded.json` | that the device has left; then there is nothing else |
//! | `policy.pb` | the last good signed policy, as it came |
//! | `progress.json` | what is in force, and what the services know and said |
//! | `troubles.json` | what kept the device from getting through, not told yet |
//! | `owned-mdatp.json` | the engine's record |

mod identity;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use muster_errors::ErrorCode;
use muster_types::{DeviceId, Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::core::Skew;
use crate::core::message::{Authority, Corrections, Standing};
use crate::error::Error;
use crate::replace;
use crate::troubles::Troubles;

pub use identity::{Kept, Next};

/// Version of the layout: 2 added what an older agent would overlook, above all standing down.
const FORMAT: u32 = 2;

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
    /// Who manages the device and why, as a service last said.
    #[serde(default)]
    pub authority: Option<Authority>,
    /// What the service said to a device that may not be enrolled, in words.
    #[serde(default)]
    pub refusal: Option<String>,
    /// When the certificate is renewed.
    #[serde(default)]
    pub renews_at: Option<Timestamp>,
    /// Names the proof of a registration that a service last took.
    #[serde(default)]
    pub proof_digest: Option<Digest>,
    /// How far the device's clock was from the service's at the last check-in.
    #[serde(default)]
    pub skew: Skew,
    /// How often settings were put back since the policy in force was applied for the first time.
    #[serde(default)]
    pub corrections: Corrections,
}

/// That the device has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offboarded {
    /// Which device it was.
    pub device: Option<DeviceId>,
    /// When it left.
    pub at: Timestamp,
    /// SHA-256 of the token the agent was started with, if any: the same one does not bring the device back.
    pub token_digest: Option<Digest>,
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
                Ok(FORMAT) => {}
                Ok(found) if found < FORMAT => write(&format, format!("{FORMAT}\n").as_bytes())?,
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
        // Damaged, it costs a report and a survey more, and nothing else.
        Ok(self.json("progress.json")?.and_then(Result::ok).unwrap_or_default())
    }

    /// Keeps what is in force, and what the services know.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_progress(&self, progress: &Progress) -> Result<(), Error> {
        self.write_json("progress.json", progress)
    }

    /// Whether the device enforces. Damaged, it enforces nothing until a check-in says otherwise.
    ///
    /// # Errors
    /// `INTERNAL` when the file cannot be read.
    pub fn standing(&self) -> Result<Standing, Error> {
        let unclear = || Standing::StoodDown { code: "GENERAL_ERROR".to_owned() };
        let standing = self.json("standing.json")?;
        Ok(standing.map_or_else(Standing::default, |read| read.unwrap_or_else(|()| unclear())))
    }

    /// Keeps whether the device enforces.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_standing(&self, standing: &Standing) -> Result<(), Error> {
        self.write_json("standing.json", standing)
    }

    /// What kept the device from getting through and was not told yet.
    ///
    /// # Errors
    /// `INTERNAL` when the file cannot be read.
    pub fn troubles(&self) -> Result<Troubles, Error> {
        Ok(self.json("troubles.json")?.and_then(Result::ok).unwrap_or_default())
    }

    /// Keeps what kept the device from getting through.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_troubles(&self, troubles: &Troubles) -> Result<(), Error> {
        self.write_json("troubles.json", troubles)
    }

    /// Whether the device has left. Damaged, it has.
    ///
    /// # Errors
    /// `INTERNAL` when the file cannot be read.
    pub fn offboarded(&self) -> Result<Option<Offboarded>, Error> {
        let damaged = || Offboarded { device: None, at: Timestamp::from_micros(0), token_digest: None };
        Ok(self.json("offboarded.json")?.map(|read| read.unwrap_or_else(|()| damaged())))
    }

    /// Notes that the device has left, then forgets everything else; engines' records too unless they are still needed.
    /// What is left after a crash in between goes with [`StateDir::take_up`].
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn retire(&self, offboarded: &Offboarded, keep_records: bool) -> Result<(), Error> {
        self.write_json("offboarded.json", offboarded)?;
        self.forget()?;
        if !keep_records {
            self.remove("owned-mdatp.json")?;
        }
        Ok(())
    }

    fn forget(&self) -> Result<(), Error> {
        const FORGOTTEN: [&str; 8] = [
            "key.pkcs8",
            "next-key.pkcs8",
            "next.pb",
            "enrollment.pb",
            "policy.pb",
            "progress.json",
            "troubles.json",
            "standing.json",
        ];
        FORGOTTEN.into_iter().try_for_each(|name| self.remove(name))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&path, error)),
            _ => Ok(()),
        }
    }

    /// What a file says; an inner error when it is damaged.
    fn json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<Result<T, ()>>, Error> {
        let bytes = read(&self.dir.join(name))?;
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(drop)))
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).expect("plain fields are JSON");
        write(&self.dir.join(name), &bytes)
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
