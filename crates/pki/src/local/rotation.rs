//! Changing the authority without anyone losing trust: the old and the new one overlap.
//!
//! | step | what it does | in force |
//! |---|---|---|
//! | prepare | makes the next authority; `ca.pem` has both | when servers start again: they believe both and tell devices so |
//! | switch | the next authority issues; the old one's key is gone | when servers start again: their own certificates are made anew |
//! | retire | the old authority leaves `ca.pem` | when servers start again |
//!
//! What stage the folder is in is told by its keys and certificates alone, and each step ends with one rename, so a
//! step that was cut off is either done or can be said again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_types::{Service, Timestamp};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{LocalTrust, TrustError, authority, create_key, read_certs, read_key, service_paths};
use crate::authority::DEVICE_VALIDITY;
use crate::certificate::{belongs, fingerprint, is_by, not_after};
use crate::files::{self, Readers};
use crate::{TrustBundle, TrustDomain};

/// How long servers run in a stage before the next: every device renews its certificate in that time, or has none that
/// is good.
pub const OVERLAP: Duration = DEVICE_VALIDITY;

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStage {
    /// There is one authority.
    Settled,
    /// The next authority is believed, and does not issue yet.
    Prepared,
    /// The new authority issues; the old one is still believed.
    Switched,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStep {
    /// Make the next authority, and believe it.
    Prepare,
    /// Let it issue.
    Switch,
    /// Believe the old one no more.
    Retire,
}

/// What an authority is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityRole {
    /// Issues.
    Issuing,
    /// Will issue after the switch.
    Next,
    /// Is believed only; issued before the switch.
    Old,
}

/// An authority to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityStatus {
    /// What it is there for.
    pub role: AuthorityRole,
    /// SHA-256 of its certificate in hexadecimal digits.
    pub fingerprint: String,
    /// When its certificate ends.
    pub not_after: Timestamp,
}

/// A service's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Whose it is.
    pub service: Service,
    /// Whether it is by the authority that issues; if not, it is made anew at the next start.
    pub by_issuing: bool,
    /// When it ends.
    pub not_after: Timestamp,
}

/// How the folder stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationStatus {
    /// How far the rotation is.
    pub stage: RotationStage,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Sequence number of the bundle.
    pub sequence: u64,
    /// The authorities to believe, newest first.
    pub authorities: Vec<AuthorityStatus>,
    /// Certificates of services that are there.
    pub services: Vec<ServiceStatus>,
    /// When a server first started in this stage; `None` in [`RotationStage::Settled`].
    pub started_at: Option<Timestamp>,
}

impl RotationStatus {
    /// When the next step loses nobody: [`OVERLAP`] after the first start; `None` while no server started, or nothing
    /// is under way.
    #[must_use]
    pub fn next_step_at(&self) -> Option<Timestamp> {
        self.started_at.map(|at| at.plus(OVERLAP))
    }
}

/// Why a step is not made. What was there is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The folder cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Another step comes first.
    #[error("nothing is prepared: the stage before switch is prepare")]
    NothingPrepared,
    /// The switch comes first.
    #[error("what is prepared is not switched to yet: the stage before retire is switch")]
    NotSwitched,
    /// The rotation before is not over.
    #[error("the rotation before is not over: retire comes first")]
    NotRetired,
    /// Devices or their certificates would be lost.
    #[error("{reason}: wait until {until}, or use force")]
    TooEarly {
        /// What would be lost.
        reason: &'static str,
        /// From when on nothing is.
        until: Timestamp,
    },
    /// Nobody knows whether devices would be lost.
    #[error(
        "no server has started with this folder since the last stage: start them and wait 7 days, or use force (where \
         servers get copies of the folder, a start is not noticed here)"
    )]
    NotStarted,
}

/// When servers first started in a stage, in microseconds: `ca.rotation`, `policy-signing.rotation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Starts {
    prepared: Option<Timestamp>,
    switched: Option<Timestamp>,
}

impl Starts {
    pub(super) fn of(&self, stage: RotationStage) -> Option<Timestamp> {
        match stage {
            RotationStage::Settled => None,
            RotationStage::Prepared => self.prepared,
            RotationStage::Switched => self.switched,
        }
    }

    /// With a start in a stage, if that is the first.
    pub(super) fn note(mut self, stage: RotationStage, now: Timestamp) -> Option<Self> {
        let first = match stage {
            RotationStage::Settled => return None,
            RotationStage::Prepared => &mut self.prepared,
            RotationStage::Switched => &mut self.switched,
        };
        first.is_none().then(|| *first = Some(now))?;
        Some(self)
    }

    /// Refuses a step that is not due, unless it is forced.
    pub(super) fn check_wait(
        &self,
        stage: RotationStage,
        reason: &'static str,
        force: bool,
        now: Timestamp,
    ) -> Result<(), RotationError> {
        if force {
            return Ok(());
        }
        let until = self.of(stage).ok_or(RotationError::NotStarted)?.plus(OVERLAP);
        if now < until { Err(RotationError::TooEarly { reason, until }) } else { Ok(()) }
    }

    pub(super) fn read(path: &Path) -> Result<Self, TrustError> {
        let Some(text) = files::read(path, Readers::All)? else { return Ok(Self::default()) };
        let malformed = |_| TrustError::Malformed { path: path.to_owned(), expected: "record of a rotation" };
        let record: Value = serde_json::from_str(&text).map_err(malformed)?;
        let moment = |name: &str| record[name].as_i64().map(Timestamp::from_micros);
        Ok(Self { prepared: moment("prepared_start_us"), switched: moment("switched_start_us") })
    }

    pub(super) fn write(self, path: &Path) -> Result<(), TrustError> {
        let Self { prepared, switched } = self;
        let record = json!({
            "prepared_start_us": prepared.map(Timestamp::micros),
            "switched_start_us": switched.map(Timestamp::micros),
        });
        files::write(path, &format!("{record}\n"), Readers::All)
    }
}

impl LocalTrust {
    /// Makes a step of a rotation, and tells how the folder stands then. A step that was made is not made again.
    ///
    /// The switch is refused while devices may not have heard of the next authority, and the retirement while
    /// certificates by the old one may be good, unless it is forced.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn rotate(
        dir: &Path,
        step: RotationStep,
        force: bool,
        now: Timestamp,
    ) -> Result<RotationStatus, RotationError> {
        let folder = Rotating::open(dir)?;
        match (step, folder.stage) {
            (RotationStep::Prepare, RotationStage::Settled) => folder.prepare(now)?,
            (RotationStep::Prepare, RotationStage::Prepared)
            | (RotationStep::Switch, RotationStage::Switched)
            | (RotationStep::Retire, RotationStage::Settled) => {}
            (RotationStep::Prepare, RotationStage::Switched) => return Err(RotationError::NotRetired),
            (RotationStep::Switch, RotationStage::Settled) => return Err(RotationError::NothingPrepared),
            (RotationStep::Switch, RotationStage::Prepared) => {
                let reason = "devices that have not renewed their certificates would not believe the servers";
                folder.check_wait(reason, force, now)?;
                files::replace(&dir.join("ca.key"), &folder.next_key())?;
            }
            (RotationStep::Retire, RotationStage::Prepared) => return Err(RotationError::NotSwitched),
            (RotationStep::Retire, RotationStage::Switched) => {
                folder.check_wait("certificates by the old authority may still be good", force, now)?;
                folder.retire()?;
            }
        }
        if folder.stage == RotationStage::Settled && step == RotationStep::Retire {
            // One that was cut off may have left it.
            files::delete(&starts_path(dir))?;
        }
        Ok(Rotating::read(dir)?.status()?)
    }

    /// Tells how the folder stands.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn rotation(dir: &Path) -> Result<RotationStatus, TrustError> {
        Rotating::read(dir)?.status()
    }

    /// Notes that a server starts with the folder as it is, from which on a rotation's waiting times count.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn note_start(&self, now: Timestamp) -> Result<(), TrustError> {
        self.note_policy_key_start(now)?;
        let dir = self.dir();
        let Some(authority) = self.authority().filter(|_| dir.join("ca.key").exists()) else { return Ok(()) };
        if self.bundle().certificates().len() < 2 {
            return Ok(());
        }
        let folder = Rotating::open(dir)?;
        if folder.bundle != *self.bundle() || folder.issuing() != Some(authority.certificate()) {
            // A step was made since this was opened: it is the next start that has it.
            return Ok(());
        }
        folder.starts.note(folder.stage, now).map_or(Ok(()), |starts| starts.write(&starts_path(dir)))
    }
}

/// A folder as a rotation sees it.
struct Rotating {
    dir: PathBuf,
    bundle: TrustBundle,
    stage: RotationStage,
    roles: Vec<AuthorityRole>,
    starts: Starts,
    _lock: Option<std::fs::File>,
}

impl Rotating {
    /// Reads it, and keeps other writers out.
    fn open(dir: &Path) -> Result<Self, TrustError> {
        if !dir.join("ca.pem").exists() {
            return Err(TrustError::Missing { path: dir.join("ca.pem") });
        }
        let lock = files::lock(dir)?;
        Ok(Self { _lock: Some(lock), ..Self::read(dir)? })
    }

    fn read(dir: &Path) -> Result<Self, TrustError> {
        let missing = |name: &str| TrustError::Missing { path: dir.join(name) };
        let bundle = authority::read_bundle(dir)?.ok_or_else(|| missing("ca.pem"))?;
        let key = read_key(&dir.join("ca.key"))?.ok_or_else(|| missing("ca.key"))?;
        if authority::of_key(&bundle, &key).is_none() {
            return Err(TrustError::Mismatch { path: dir.join("ca.pem") });
        }
        let next = read_key(&dir.join(NEXT_KEY))?;
        let role = |certificate: &_| {
            if belongs(certificate, &key) {
                AuthorityRole::Issuing
            } else if next.as_ref().is_some_and(|next| belongs(certificate, next)) {
                AuthorityRole::Next
            } else {
                AuthorityRole::Old
            }
        };
        let roles: Vec<_> = bundle.certificates().iter().map(|certificate| role(certificate)).collect();
        let stage = if roles.contains(&AuthorityRole::Next) {
            RotationStage::Prepared
        } else if roles.contains(&AuthorityRole::Old) {
            RotationStage::Switched
        } else {
            RotationStage::Settled
        };
        let starts = Starts::read(&starts_path(dir))?;
        Ok(Self { dir: dir.to_owned(), bundle, stage, roles, starts, _lock: None })
    }

    fn issuing(&self) -> Option<&CertificateDer<'static>> {
        let mut all = self.bundle.certificates().iter().zip(&self.roles);
        all.find(|(_, role)| **role == AuthorityRole::Issuing).map(|(certificate, _)| certificate)
    }

    fn services(&self) -> Result<Vec<ServiceStatus>, TrustError> {
        let mut services = Vec::new();
        for service in Service::ALL {
            let (path, _) = service_paths(&self.dir, service);
            let Some(certificates) = read_certs(&path)? else { continue };
            let by_issuing = self.issuing().is_some_and(|issuing| is_by(&certificates[0], issuing));
            services.push(ServiceStatus { service, by_issuing, not_after: not_after(&certificates[0]) });
        }
        Ok(services)
    }

    fn status(&self) -> Result<RotationStatus, TrustError> {
        let authorities = self.bundle.certificates().iter().zip(&self.roles);
        Ok(RotationStatus {
            stage: self.stage,
            trust_domain: self.bundle.domain().clone(),
            sequence: self.bundle.sequence(),
            authorities: authorities
                .map(|(certificate, role)| AuthorityStatus {
                    role: *role,
                    fingerprint: fingerprint(certificate),
                    not_after: not_after(certificate),
                })
                .collect(),
            services: self.services()?,
            started_at: self.starts.of(self.stage),
        })
    }

    fn next_key(&self) -> PathBuf {
        self.dir.join(NEXT_KEY)
    }

    fn prepare(&self, now: Timestamp) -> Result<(), TrustError> {
        // Times of a rotation before must not count for this one.
        files::delete(&starts_path(&self.dir))?;
        let key = match read_key(&self.next_key())? {
            Some(key) => key,
            None => create_key(&self.next_key())?,
        };
        let next = authority::create(self.bundle.domain(), key, now)?;
        let certificates = [&[next.certificate().clone()], self.bundle.certificates()].concat();
        authority::write_bundle(&self.dir, self.bundle.domain(), certificates, Some(&self.bundle))?;
        Ok(())
    }

    fn retire(&self) -> Result<(), TrustError> {
        let certificates = self.issuing().into_iter().cloned().collect();
        authority::write_bundle(&self.dir, self.bundle.domain(), certificates, Some(&self.bundle))?;
        files::delete(&starts_path(&self.dir))
    }

    fn check_wait(&self, reason: &'static str, force: bool, now: Timestamp) -> Result<(), RotationError> {
        self.starts.check_wait(self.stage, reason, force, now)
    }
}

const NEXT_KEY: &str = "ca-next.key";

fn starts_path(dir: &Path) -> PathBuf {
    dir.join("ca.rotation")
}
