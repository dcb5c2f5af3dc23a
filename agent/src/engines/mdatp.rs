//! Microsoft Defender for Endpoint on Linux: its managed configuration, one strict JSON file.
//!
//! The engine owns the keys it set, and no others: a key once set and no longer wanted is removed, every other key stays
//! as it is. What is its own stands in a record beside the agent's state.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_catalog::Catalogue;
use muster_errors::ErrorCode;
use muster_managed::{Form, json};
use muster_types::{SettingId, SettingValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{Engine, Failure, Observed, Plan};
use crate::replace;

/// The managed configuration, below the device's root.
pub const FILE: &str = "etc/opt/microsoft/mdatp/managed/mdatp_managed.json";
/// The profiles that land there.
pub const PROFILES: [&str; 4] =
    ["linux-antivirus", "linux-antivirus-exclusions", "linux-edr", "linux-global-exclusions"];
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The engine.
#[derive(Debug)]
pub struct Mdatp {
    catalogue: &'static Catalogue,
    file: PathBuf,
    record: PathBuf,
}

/// The file's bytes, and what they say.
type Found = (Vec<u8>, Map<String, Value>);

/// What the engine put into the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owned {
    /// Dotted paths of keys it set.
    keys: BTreeSet<String>,
    /// Dotted paths of objects it made to hold them.
    objects: BTreeSet<String>,
}

impl Mdatp {
    /// An engine for the device whose file system begins at `root`, with its record in `record`.
    #[must_use]
    pub fn new(root: &Path, record: PathBuf) -> Self {
        Self { catalogue: Catalogue::builtin(), file: root.join(FILE), record }
    }

    /// Looks whether the file could be written: it is not there, or can be understood.
    ///
    /// # Errors
    /// [`Failure`] saying what is wrong with it.
    pub fn read_managed(&self) -> Result<(), Failure> {
        self.read().map(drop)
    }

    /// Where a setting lands and what it becomes there.
    fn landing(&self, id: &SettingId) -> Result<(&muster_catalog::Setting, &str), Failure> {
        let setting = self.catalogue.setting(id).ok_or_else(|| {
            Failure::apply(format!("this agent's catalogue has no setting {id}: a newer agent may"))
        })?;
        let path = Form::MdatpJson.path(setting);
        let path = path.ok_or_else(|| Failure::apply(format!("{id} is no key of {FILE} by itself")))?;
        Ok((setting, path))
    }

    /// The file as it stands; `None` when there is none.
    fn read(&self) -> Result<Option<Found>, Failure> {
        let unreadable =
            |problem: String| Failure::apply(format!("{}: {problem}; left untouched", self.file.display()));
        let metadata = match fs::symlink_metadata(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| unreadable(error.to_string()))?,
        };
        if !metadata.is_file() {
            return Err(unreadable("not a plain file (a symbolic link is not followed)".to_owned()));
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(unreadable(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        let bytes = fs::read(&self.file).map_err(|error| unreadable(error.to_string()))?;
        match json::parse(&bytes) {
            Ok(Value::Object(root)) => Ok(Some((bytes, root))),
            Ok(_) => Err(unreadable("not a JSON object".to_owned())),
            Err(error) => Err(unreadable(format!("not strict JSON: {error}"))),
        }
    }

    fn owned(&self) -> Result<Owned, Failure> {
        let damaged = |problem: String| Failure::apply(format!("{}: {problem}", self.record.display()));
        match fs::read(&self.record) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owned::default()),
            Err(error) => Err(damaged(error.to_string())),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string())),
        }
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32, dir_mode: u32) -> Result<(), Failure> {
        replace::replace(path, content, mode, dir_mode).map_err(|error| Failure {
            code: replace::code(&error, ErrorCode::ApplyFailed),
            message: format!("{} cannot be written: {error}", path.display()),
        })
    }
}

impl Engine for Mdatp {
    fn handles(&self, profile: &str) -> bool {
        PROFILES.contains(&profile)
    }

    fn plan(&self, desired: &BTreeMap<SettingId, SettingValue>) -> Result<Plan, Failure> {
        let before = self.read()?;
        let owned_before = self.owned()?;
        let mut root = before.as_ref().map(|(_, root)| root.clone()).unwrap_or_default();
        let mut owned = Owned { keys: BTreeSet::new(), objects: owned_before.objects.clone() };
        let mut refused = BTreeMap::new();
        for (id, value) in desired {
            let set = self.landing(id).and_then(|(setting, path)| {
                let value = setting.to_wire_json(value);
                json::set(&mut root, path, value, |made| {
                    owned.objects.insert(made.to_owned());
                })
                .map_err(|place| {
                    let file = self.file.display();
                    Failure::apply(format!("{place} in {file} is no object, and is not ours to replace"))
                })?;
                Ok(path.to_owned())
            });
            match set {
                Ok(path) => {
                    owned.keys.insert(path);
                }
                Err(failure) => drop(refused.insert(id.clone(), failure)),
            }
        }
        for gone in owned_before.keys.difference(&owned.keys) {
            json::remove(&mut root, gone);
        }
        prune(&mut root, &mut owned.objects);
        let meanwhile = Owned {
            keys: owned_before.keys.union(&owned.keys).cloned().collect(),
            objects: owned_before.objects.union(&owned.objects).cloned().collect(),
        };
        let changed = before.as_ref().map_or(!root.is_empty(), |(_, before)| *before != root);
        let write = changed.then(|| (self.file.clone(), render(&root)));
        Ok(Plan { write, owned: record(&owned), owned_meanwhile: record(&meanwhile), refused })
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        // The record first: after a crash in between, a key may be taken for ours that was never written, which does
        // no harm; a key of ours taken for another's would stay for ever.
        if let Some((file, content)) = &plan.write {
            self.write(&self.record, &plan.owned_meanwhile, 0o600, 0o700)?;
            self.write(file, content, 0o644, 0o755)?;
        }
        if fs::read(&self.record).ok().as_ref() != Some(&plan.owned) {
            self.write(&self.record, &plan.owned, 0o600, 0o700)?;
        }
        Ok(())
    }

    fn read_back(&self, ids: &[SettingId]) -> Observed {
        let root = self.read().map(|found| found.map(|(_, root)| root).unwrap_or_default());
        let observe = |id: &SettingId| {
            let root = root.as_ref().map_err(Clone::clone)?;
            let (setting, path) = self.landing(id)?;
            let found = json::get(root, path).map(|value| setting.from_wire_json(value));
            found.transpose().map_err(|error| Failure {
                code: ErrorCode::ReadBackDiffers,
                message: format!("{path} in {}: {error}", self.file.display()),
            })
        };
        ids.iter().map(|id| (id.clone(), observe(id))).collect()
    }

    /// There is none on Linux.
    fn tamper_protected(&self) -> bool {
        false
    }
}

/// Removes objects that were made for keys that are gone; the deepest first.
fn prune(root: &mut Map<String, Value>, objects: &mut BTreeSet<String>) {
    let mut kept = BTreeSet::new();
    for path in std::mem::take(objects).into_iter().rev() {
        match json::get(root, &path).and_then(Value::as_object) {
            Some(object) if object.is_empty() => json::remove(root, &path),
            Some(_) => {
                kept.insert(path);
            }
            None => {}
        }
    }
    *objects = kept;
}

fn render(root: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(root).expect("a JSON value has text keys only");
    bytes.push(b'\n');
    bytes
}

fn record(owned: &Owned) -> Vec<u8> {
    serde_json::to_vec_pretty(owned).expect("two lists of texts are JSON")
}
