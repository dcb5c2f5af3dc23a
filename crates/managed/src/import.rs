//! From a managed configuration to settings.
//!
//! Nothing is swallowed: a key is either taken over as it is, or stands among the findings. What is taken over passes the
//! catalogue's check.

mod exclusions;
mod list;
mod profile;
mod value;

use std::cell::RefCell;
use std::collections::BTreeMap;

use muster_catalog::{Catalogue, Kind, Setting, Status, Violation};
use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};
use serde_json::{Map, Value};

use crate::invalid::{self, Invalid};
use crate::place::{Form, Place};
use crate::report::{FINDINGS_MAX, Finding, Reason};
use crate::{DEPTH_MAX, json, plist};

/// What vendors put into their examples.
const EXAMPLE_MARK: &str = "<EXAMPLE DO NOT USE>";

/// What to do with keys that stand twice in one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeated {
    /// The file is refused: readers differ in which of the two counts.
    #[default]
    Refuse,
    /// The last counts; the others are findings.
    LastCounts,
}

/// The settings of one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The profile, for example `linux-antivirus`.
    pub profile: String,
    /// The settings, checked against the catalogue.
    pub settings: BTreeMap<SettingId, SettingValue>,
}

/// What a configuration became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The settings, by profile, sorted.
    pub drafts: Vec<Draft>,
    /// What became of all else, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Reads the managed configuration of Microsoft Defender for Endpoint on Linux: strict JSON.
///
/// # Errors
/// [`Invalid`]: no strict JSON, no object, over [`crate::FILE_BYTES_MAX`] or [`DEPTH_MAX`], or none of the product at all
/// (more than [`FINDINGS_MAX`] findings).
pub fn mdatp_json(catalogue: &Catalogue, bytes: &[u8], repeated: Repeated) -> Result<Imported, Invalid> {
    invalid::check_size(bytes)?;
    invalid::check_text(bytes)?;
    let places = RefCell::new(Vec::new());
    let noted = (repeated == Repeated::LastCounts).then_some(&places);
    let Value::Object(root) = json::read(bytes, DEPTH_MAX, noted)? else {
        return Err(Invalid::new("not a JSON object"));
    };
    let mut import = Import::new(catalogue, Form::MdatpJson);
    for place in places.into_inner() {
        import.find(Finding::new(&place, Reason::RepeatedKey, "stands twice in one object; the last counts"));
    }
    import.walk(&root, &Place::Root, "");
    import.finish()
}

/// Reads the managed configuration of Microsoft Defender for Endpoint on macOS: a property list, as XML or binary; the
/// dictionary itself, or a configuration profile with payloads.
///
/// # Errors
/// [`Invalid`]: no property list, no dictionary, over [`crate::FILE_BYTES_MAX`] or [`DEPTH_MAX`], or none of the product at
/// all (more than [`FINDINGS_MAX`] findings).
pub fn wdav_plist(catalogue: &Catalogue, bytes: &[u8]) -> Result<Imported, Invalid> {
    let root = plist::read(bytes)?;
    let mut import = Import::new(catalogue, Form::WdavPlist);
    if root.contains_key(profile::CONTENT) {
        import.profile(&root);
    } else {
        import.walk(&root, &Place::Root, "");
    }
    import.finish()
}

struct Import<'c> {
    catalogue: &'c Catalogue,
    /// What can stand in the configuration, by its dotted path.
    known: BTreeMap<&'c str, &'c Setting>,
    form: Form,
    /// What was taken over, and where it stood.
    taken: BTreeMap<SettingId, (SettingValue, String)>,
    /// Items of the antivirus engine's exclusions, which can stand in two places.
    exclusions: Option<Vec<list::Item>>,
    findings: Vec<Finding>,
    /// Findings beyond the limit.
    is_flooded: bool,
}

impl<'c> Import<'c> {
    fn new(catalogue: &'c Catalogue, form: Form) -> Self {
        let known = catalogue.settings().filter_map(|setting| Some((form.path(setting)?, setting))).collect();
        Self {
            catalogue,
            known,
            form,
            taken: BTreeMap::new(),
            exclusions: None,
            findings: Vec::new(),
            is_flooded: false,
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.is_flooded = true;
        }
    }

    fn walk(&mut self, object: &Map<String, Value>, place: &Place<'_>, above: &str) {
        for (key, value) in object {
            if self.is_flooded {
                return;
            }
            let place = Place::Key(place, key);
            // A dot in a key is no step.
            let path = match (key.contains('.'), above) {
                (true, _) => String::new(),
                (false, "") => key.clone(),
                (false, above) => format!("{above}.{key}"),
            };
            if let Some(setting) = self.known.get(path.as_str()) {
                self.take(setting, value, &place);
            } else if !path.is_empty() && self.is_section(&path) {
                match value.as_object() {
                    Some(section) => self.walk(section, &place, &path),
                    None => self.find(Finding::new(
                        &place,
                        Reason::WrongType,
                        format!("{} where an object with keys is expected", value::shown(value)),
                    )),
                }
            } else {
                let message = self.unknown(&path, value);
                self.find(Finding::new(&place, Reason::UnknownKey, message));
            }
        }
    }

    fn is_section(&self, path: &str) -> bool {
        let inside = format!("{path}.");
        self.known.range(inside.as_str()..).next().is_some_and(|(known, _)| known.starts_with(&inside))
    }

    fn unknown(&self, path: &str, value: &Value) -> String {
        let mut message = "no key of the product".to_owned();
        let inside = value::leaves(value);
        if inside > 1 {
            message.push_str(&format!(", with {inside} values inside"));
        }
        let near = self
            .known
            .keys()
            .flat_map(|known| sections(known))
            .find(|known| known.eq_ignore_ascii_case(path));
        if let Some(near) = near {
            message.push_str(&format!("; capitals count: did you mean {near}?"));
        }
        message
    }

    fn take(&mut self, setting: &'c Setting, value: &Value, place: &Place<'_>) {
        let id = &setting.id;
        if !setting.settable() {
            let message = format!("no policy can set {id}: it is {}", setting.channels.ssm.explain());
            return self.find(Finding::new(place, Reason::NotOnChannel, message).about(id));
        }
        if let Some((_, first)) = self.taken.get(id) {
            let message = format!("is set already by {first}");
            return self.find(Finding::new(place, Reason::SetTwice, message).about(id));
        }
        if !setting.channels.ssm.deliverable() {
            let message =
                format!("devices without MDM are not given it: it is {}", setting.channels.ssm.explain());
            self.find(Finding::new(place, Reason::MdmOnly, message).about(id));
        }
        if setting.status == Status::Deprecated {
            let message = setting.notes.clone().unwrap_or_else(|| "should no longer be used".to_owned());
            self.find(Finding::new(place, Reason::Deprecated, message).about(id));
        }
        if value::any_text(value, &|text| text.contains(EXAMPLE_MARK)) {
            let message = format!("is marked {EXAMPLE_MARK}");
            self.find(Finding::new(place, Reason::ExampleValue, message).about(id));
        }
        if let Some(list) = exclusions::list(self.form, setting) {
            return self.take_exclusions(setting, list, value, place);
        }
        match &setting.kind {
            Kind::TextList { .. } | Kind::ObjectList { .. } => {
                if let Some(items) = self.items(setting, value, place) {
                    self.take_list(setting, items, place.to_string());
                }
            }
            Kind::Bool { .. }
            | Kind::Enum { .. }
            | Kind::Flags { .. }
            | Kind::Integer { .. }
            | Kind::Text(_) => self.take_single(setting, value, place),
        }
    }

    fn take_single(&mut self, setting: &Setting, value: &Value, place: &Place<'_>) {
        let value = self.mended(&setting.id, &setting.kind, value, place);
        match setting.from_wire_json(&value) {
            Ok(taken) => drop(self.taken.insert(setting.id.clone(), (taken, place.to_string()))),
            Err(_) => {
                let (reason, message) = value::refusal(setting, &value);
                self.find(Finding::new(place, reason, message).about(&setting.id));
            }
        }
    }

    fn finish(mut self) -> Result<Imported, Invalid> {
        self.finish_exclusions();
        let mut drafts = Vec::new();
        let mut profiles: BTreeMap<String, BTreeMap<SettingId, (SettingValue, String)>> = BTreeMap::new();
        for (id, taken) in std::mem::take(&mut self.taken) {
            profiles.entry(id.profile().to_owned()).or_default().insert(id, taken);
        }
        for (profile, settings) in profiles {
            let settings = self.consistent(&profile, settings);
            if !settings.is_empty() {
                drafts.push(Draft { profile, settings });
            }
        }
        if self.is_flooded {
            let message = format!(
                "none of the product: more than {FINDINGS_MAX} keys and items cannot be taken over as they are"
            );
            return Err(Invalid::new(message));
        }
        Ok(Imported { drafts, findings: self.findings })
    }

    /// What of the settings passes the check of all together; what does not is left out.
    fn consistent(
        &mut self,
        profile: &str,
        mut settings: BTreeMap<SettingId, (SettingValue, String)>,
    ) -> BTreeMap<SettingId, SettingValue> {
        loop {
            let given = settings.iter().map(|(id, (value, _))| (id.clone(), value.clone()));
            let violations = match self.catalogue.check(profile, given) {
                Ok(checked) => return checked,
                Err(violations) => violations,
            };
            let before = settings.len();
            for violation in violations {
                let Ok(id) = violation.subject.parse::<SettingId>() else { continue };
                let Some((_, path)) = settings.remove(&id) else { continue };
                let is_elsewhere = violation.code == ErrorCode::SettingNotOnChannel;
                let reason = if is_elsewhere { Reason::NotOnChannel } else { Reason::Inconsistent };
                self.find(Finding::new(&path, reason, said(&violation)).about(&id));
            }
            if settings.len() == before {
                return BTreeMap::new();
            }
        }
    }
}

/// A violation without its subject, which the finding has.
fn said(violation: &Violation) -> String {
    let at = violation.at.trim_start_matches("[0]").trim_start_matches('.');
    let at = if at.is_empty() { String::new() } else { format!("{at}: ") };
    match violation.value.as_str() {
        "" => format!("{at}{}", violation.allowed),
        value => format!("{at}{value} is not allowed: {}", violation.allowed),
    }
}

/// A dotted path, and those of the sections it is in.
fn sections(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(end, _)| &path[..end]).chain([path])
}
