//! The key that signs policies, and changing it without any device refusing one: the old and the new key overlap.
//!
//! | step | what it does | in force |
//! |---|---|---|
//! | prepare | makes the next key; `policy-signing.pub` has both | when servers start again: they sign with both, and tell devices of both |
//! | switch | the next key is the one that signs; the old one signs beside it | when servers start again |
//! | retire | the old key is gone | when servers start again: devices are told to believe it no more |
//!
//! What stage the folder is in is told by its keys alone: which of those in `policy-signing.pub` has its private half in
//! which file. Each step ends with one rename, so a step that was cut off is either done or can be said again.

use std::fs::File;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_envelope::{Trust, key_id};
use muster_types::Timestamp;
use rcgen::KeyPair;

use super::rotation::{OVERLAP, RotationError, RotationStage, RotationStep, Starts};
use super::{LocalTrust, TrustError, read_key};
use crate::files::{self, Readers};
use crate::signing::{KeyMalformed, keys_from_pem};
use crate::{IssueError, PolicySigner};

const KEY: &str = "policy-signing.key";
const NEXT_KEY: &str = "policy-signing-next.key";
const OLD_KEY: &str = "policy-signing-old.key";
const PUBLIC: &str = "policy-signing.pub";
const STARTS: &str = "policy-signing.rotation";
/// What stands before an Ed25519 public key in its `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_HEADER: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// What a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKeyRole {
    /// Signs, and goes on doing so.
    Signing,
    /// Signs beside, and will be the one that signs after the switch.
    Next,
    /// Signs beside until it is retired.
    Old,
}

/// A key that devices believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyKeyStatus {
    /// What it is there for.
    pub role: PolicyKeyRole,
    /// Names it in signatures.
    pub key_id: String,
    /// The key, 32 bytes.
    pub public_key: [u8; 32],
}

/// How the keys that sign policies stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyKeyRotation {
    /// How far the rotation is.
    pub stage: RotationStage,
    /// The keys, the one that signs first.
    pub keys: Vec<PolicyKeyStatus>,
    /// When a server first started in this stage; `None` in [`RotationStage::Settled`].
    pub started_at: Option<Timestamp>,
}

impl PolicyKeyRotation {
    /// When the next step is due: [`OVERLAP`] after the first start; `None` while no server started, or nothing is under
    /// way.
    #[must_use]
    pub fn next_step_at(&self) -> Option<Timestamp> {
        self.started_at.map(|at| at.plus(OVERLAP))
    }
}

impl LocalTrust {
    /// Makes a step of a rotation of the key that signs policies, and tells how the keys stand then. A step that was made
    /// is not made again.
    ///
    /// Switch and retirement are refused while devices may not have a policy by the next key, unless they are forced.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn rotate_policy_key(
        dir: &Path,
        step: RotationStep,
        force: bool,
        now: Timestamp,
    ) -> Result<PolicyKeyRotation, RotationError> {
        let folder = Rotating::open(dir)?;
        match (step, folder.stage) {
            (RotationStep::Prepare, RotationStage::Settled) => folder.prepare()?,
            (RotationStep::Prepare, RotationStage::Prepared)
            | (RotationStep::Switch, RotationStage::Switched) => {}
            (RotationStep::Prepare, RotationStage::Switched) => return Err(RotationError::NotRetired),
            (RotationStep::Switch, RotationStage::Settled) => return Err(RotationError::NothingPrepared),
            (RotationStep::Switch, RotationStage::Prepared) => {
                folder.check_wait("devices may not have heard of the next key", force, now)?;
                folder.switch()?;
            }
            (RotationStep::Retire, RotationStage::Prepared) => return Err(RotationError::NotSwitched),
            (RotationStep::Retire, RotationStage::Switched) => {
                folder.check_wait("devices may keep policies by the old key alone", force, now)?;
                folder.retire()?;
            }
            // One that was cut off may have left something.
            (RotationStep::Retire, RotationStage::Settled) => folder.clear()?,
        }
        Ok(Rotating::read(dir)?.status())
    }

    /// Tells how the keys that sign policies stand.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn policy_key_rotation(dir: &Path) -> Result<PolicyKeyRotation, TrustError> {
        Ok(Rotating::read(dir)?.status())
    }

    /// Notes that a server starts with the keys as they are.
    pub(super) fn note_policy_key_start(&self, now: Timestamp) -> Result<(), TrustError> {
        if self.policy_trust().keys().count() < 2 || !self.dir().join(KEY).exists() {
            return Ok(());
        }
        let folder = Rotating::open(self.dir())?;
        let signs_first = self.policy_signer().map(|signer| signer.public_key());
        if Trust::new(folder.believed()).digest() != self.policy_trust().digest()
            || signs_first != Some(folder.signing)
        {
            // A step was made since this was opened: it is the next start that has it.
            return Ok(());
        }
        folder.starts.note(folder.stage, now).map_or(Ok(()), |starts| starts.write(&folder.path(STARTS)))
    }
}

/// Makes the key, and puts its public half beside it.
pub(super) fn init(dir: &Path) -> Result<(), TrustError> {
    let path = dir.join(KEY);
    let key = match read_key(&path)? {
        Some(key) => key,
        None => create(&path)?,
    };
    let public = public_of(&key, &path)?;
    match believed(dir)? {
        Some(keys) if keys.contains(&public) => Ok(()),
        _ => write_public(dir, &[public]),
    }
}

/// What signs policies, and what devices believe, as far as they are in the folder.
pub(super) fn load(dir: &Path) -> Result<(Option<PolicySigner>, Trust), TrustError> {
    let believed = believed(dir)?;
    let Some(mut signer) = signer(&dir.join(KEY))? else {
        return Ok((None, Trust::new(believed.unwrap_or_default())));
    };
    for name in [NEXT_KEY, OLD_KEY] {
        let beside = signer_of(dir, name, believed.as_deref())?;
        signer = beside.into_iter().fold(signer, PolicySigner::beside);
    }
    let trust = believed.map_or_else(|| signer.trust(), Trust::new);
    Ok((Some(signer), trust))
}

/// A key that signs beside the first; one that devices do not believe, not yet or not any more, does not.
fn signer_of(
    dir: &Path,
    name: &str,
    believed: Option<&[[u8; 32]]>,
) -> Result<Option<PolicySigner>, TrustError> {
    let signer = signer(&dir.join(name))?;
    Ok(signer.filter(|signer| believed.is_some_and(|keys| keys.contains(&signer.public_key()))))
}

fn signer(path: &Path) -> Result<Option<PolicySigner>, TrustError> {
    let Some(key) = read_key(path)? else { return Ok(None) };
    PolicySigner::from_pkcs8(key.serialized_der()).map(Some).map_err(|KeyMalformed| not_ed25519(path))
}

fn not_ed25519(path: &Path) -> TrustError {
    TrustError::Malformed { path: path.to_owned(), expected: "private Ed25519 key in PEM" }
}

fn public_of(key: &KeyPair, path: &Path) -> Result<[u8; 32], TrustError> {
    let signer = PolicySigner::from_pkcs8(key.serialized_der());
    signer.map(|signer| signer.public_key()).map_err(|KeyMalformed| not_ed25519(path))
}

fn believed(dir: &Path) -> Result<Option<Vec<[u8; 32]>>, TrustError> {
    let path = dir.join(PUBLIC);
    let Some(pem) = files::read(&path, Readers::All)? else { return Ok(None) };
    let malformed = || TrustError::Malformed { path, expected: "public Ed25519 key in PEM" };
    keys_from_pem(&pem).map(Some).ok_or_else(malformed)
}

fn write_public(dir: &Path, keys: &[[u8; 32]]) -> Result<(), TrustError> {
    let pem = |key: &[u8; 32]| {
        let der = STANDARD.encode([&SPKI_HEADER[..], key].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    };
    files::write(&dir.join(PUBLIC), &keys.iter().map(pem).collect::<String>(), Readers::All)
}

fn create(path: &Path) -> Result<KeyPair, TrustError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(IssueError::from)?;
    files::write(path, &key.serialize_pem(), Readers::Owner)?;
    Ok(key)
}

/// A folder as a rotation sees it.
struct Rotating {
    dir: PathBuf,
    signing: [u8; 32],
    keys: Vec<PolicyKeyStatus>,
    stage: RotationStage,
    starts: Starts,
    _lock: Option<File>,
}

impl Rotating {
    /// Reads it, and keeps other writers out.
    fn open(dir: &Path) -> Result<Self, TrustError> {
        if !dir.join(KEY).exists() {
            return Err(TrustError::Missing { path: dir.join(KEY) });
        }
        let lock = files::lock(dir)?;
        Ok(Self { _lock: Some(lock), ..Self::read(dir)? })
    }

    fn read(dir: &Path) -> Result<Self, TrustError> {
        let missing = |name: &str| TrustError::Missing { path: dir.join(name) };
        let public = |name: &str| -> Result<_, TrustError> {
            Ok(signer(&dir.join(name))?.map(|signer| signer.public_key()))
        };
        let signing = public(KEY)?.ok_or_else(|| missing(KEY))?;
        let next = public(NEXT_KEY)?;
        let believed = believed(dir)?.ok_or_else(|| missing(PUBLIC))?;
        if !believed.contains(&signing) {
            return Err(TrustError::Mismatch { path: dir.join(PUBLIC) });
        }
        let role = |key| match key {
            key if key == signing => PolicyKeyRole::Signing,
            key if Some(key) == next => PolicyKeyRole::Next,
            _ => PolicyKeyRole::Old,
        };
        let status =
            |key: [u8; 32]| PolicyKeyStatus { role: role(key), key_id: key_id(&key), public_key: key };
        let mut keys: Vec<_> = believed.into_iter().map(status).collect();
        keys.sort_by_key(|key| key.role);
        let any = |role| keys.iter().any(|key| key.role == role);
        let stage = if any(PolicyKeyRole::Next) {
            RotationStage::Prepared
        } else if any(PolicyKeyRole::Old) {
            RotationStage::Switched
        } else {
            RotationStage::Settled
        };
        let starts = Starts::read(&dir.join(STARTS))?;
        Ok(Self { dir: dir.to_owned(), signing, keys, stage, starts, _lock: None })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn believed(&self) -> Vec<[u8; 32]> {
        self.keys.iter().map(|key| key.public_key).collect()
    }

    fn status(self) -> PolicyKeyRotation {
        let Self { dir: _, signing: _, keys, stage, starts, _lock: _ } = self;
        PolicyKeyRotation { stage, keys, started_at: starts.of(stage) }
    }

    fn prepare(&self) -> Result<(), TrustError> {
        // What a rotation before left must not count for this one.
        self.clear()?;
        let path = self.path(NEXT_KEY);
        let key = match read_key(&path)? {
            Some(key) => key,
            None => create(&path)?,
        };
        write_public(&self.dir, &[self.signing, public_of(&key, &path)?])
    }

    fn switch(&self) -> Result<(), TrustError> {
        let path = self.path(KEY);
        let old = files::read(&path, Readers::Owner)?.ok_or(TrustError::Missing { path: path.clone() })?;
        files::write(&self.path(OLD_KEY), &old, Readers::Owner)?;
        files::replace(&path, &self.path(NEXT_KEY))
    }

    fn retire(&self) -> Result<(), TrustError> {
        write_public(&self.dir, &[self.signing])?;
        self.clear()
    }

    fn clear(&self) -> Result<(), TrustError> {
        files::delete(&self.path(OLD_KEY))?;
        files::delete(&self.path(STARTS))
    }

    fn check_wait(&self, reason: &'static str, force: bool, now: Timestamp) -> Result<(), RotationError> {
        self.starts.check_wait(self.stage, reason, force, now)
    }
}
