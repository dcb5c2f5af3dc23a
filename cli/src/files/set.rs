//! A set of files as objects: what each document says, and what only all of them together can be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_errors::ErrorCode;
use muster_types::Timestamp;
use uuid::Uuid;

use super::assignment::{AssignmentSpec, NAME_CHARS_MAX};
use super::enforcement_scope::ScopeSpec;
use super::fields::{Fields, Reader, Text};
use super::group::{GroupSpec, Named};
use super::mistake::{Findings, Place};
use super::node::{self, At, Node};
use super::policy::PolicySpec;
use super::source::{self, Source};
use super::waiver::{Target, WaiverSpec};

/// The version of the form.
pub const API_VERSION: &str = "muster.io/v1";
/// Most documents in all files.
pub const DOCUMENTS_MAX: usize = 10_000;
/// Longest that a waiver may hold.
const WAIVER_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A group of devices.
    Group,
    /// A policy.
    Policy,
    /// A policy's tie to a group.
    Assignment,
    /// An exemption.
    Waiver,
    /// Which devices this channel may manage.
    EnforcementScope,
}

const KINDS: &[(&str, Kind)] = &[
    ("Policy", Kind::Policy),
    ("Group", Kind::Group),
    ("Assignment", Kind::Assignment),
    ("EnforcementScope", Kind::EnforcementScope),
    ("Waiver", Kind::Waiver),
];

impl Kind {
    /// As files have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Group => "Group",
            Self::Policy => "Policy",
            Self::Assignment => "Assignment",
            Self::Waiver => "Waiver",
            Self::EnforcementScope => "EnforcementScope",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// A policy.
    Policy(PolicySpec),
    /// A group of devices.
    Group(GroupSpec),
    /// A policy's tie to a group.
    Assignment(AssignmentSpec),
    /// Which devices this channel may manage.
    EnforcementScope(Box<ScopeSpec>),
    /// An exemption.
    Waiver(WaiverSpec),
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where it begins.
    pub place: Place,
    /// The name of a policy or group; a remark for people on the others, empty when there is none.
    pub name: String,
    /// What it says.
    pub spec: Spec,
}

impl Object {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match &self.spec {
            Spec::Policy(_) => Kind::Policy,
            Spec::Group(_) => Kind::Group,
            Spec::Assignment(_) => Kind::Assignment,
            Spec::EnforcementScope(_) => Kind::EnforcementScope,
            Spec::Waiver(_) => Kind::Waiver,
        }
    }

    /// What tells it from others of its kind, for people.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.spec {
            Spec::Policy(_) | Spec::Group(_) => self.name.clone(),
            Spec::Assignment(spec) => format!("{} → {}", spec.policy.name, spec.group.name),
            Spec::EnforcementScope(_) => "tenant".to_owned(),
            Spec::Waiver(spec) => {
                let setting = spec.setting.as_ref().map(ToString::to_string);
                let policy = spec.policy.as_ref().map(|policy| policy.name.as_str());
                waiver_title(policy, setting.as_deref(), spec.target.named())
            }
        }
    }
}

impl Target {
    /// What is named.
    #[must_use]
    pub fn named(&self) -> &str {
        match self {
            Self::Group(named) | Self::Device(named) => &named.name,
        }
    }
}

/// What tells a waiver from others, for people.
#[must_use]
pub fn waiver_title(policy: Option<&str>, setting: Option<&str>, target: &str) -> String {
    let of = match (policy, setting) {
        (Some(policy), Some(setting)) => format!("{setting} of {policy}"),
        (None, Some(setting)) => setting.to_owned(),
        (Some(policy), None) => policy.to_owned(),
        (None, None) => String::new(),
    };
    format!("{of} → {target}")
}

/// The objects of a set of files, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// The objects that are sound.
    pub objects: Vec<Object>,
}

impl Set {
    /// The kinds that occur.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.objects.iter().map(Object::kind).collect()
    }
}

/// Reads files and folders, and checks all that can be checked without a server.
#[must_use]
pub fn load(paths: &[PathBuf], now: Timestamp) -> (Set, Findings) {
    let mut findings = Findings::default();
    let sources = source::read(paths, &mut findings);
    let set = check(&sources, now, &mut findings);
    if set.objects.is_empty() && findings.mistake_count() == 0 {
        let named: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let place = Place::start(&named.join(" ").into());
        findings.mistake(ErrorCode::FileInvalid, place, "holds no documents (*.yaml, *.yml, *.json)");
    }
    (set, findings)
}

/// Reads what was read from files, and checks all that can be checked without a server.
#[must_use]
pub fn check(sources: &[Source], now: Timestamp, findings: &mut Findings) -> Set {
    let mut gathered = Gathered::default();
    for source in sources {
        gathered.file(source, now, findings);
    }
    gathered.warn_of_dangling(findings);
    gathered.set
}

/// What is told apart by what, so that nothing stands twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity(Kind, Vec<String>);

#[derive(Default)]
struct Gathered {
    set: Set,
    documents: usize,
    seen: BTreeMap<Identity, Place>,
    /// Names of policies and groups, those with mistakes included.
    named: BTreeSet<(Kind, String)>,
}

impl Gathered {
    fn file(&mut self, source: &Source, now: Timestamp, findings: &mut Findings) {
        let Source { name, text } = source;
        node::documents(text, |document| {
            self.documents += 1;
            if self.documents > DOCUMENTS_MAX {
                if self.documents == DOCUMENTS_MAX + 1 {
                    let message =
                        format!("more than {DOCUMENTS_MAX} documents; this one and later ones are not read");
                    findings.mistake(ErrorCode::FileInvalid, Place::start(name), message);
                }
                return false;
            }
            match document {
                Ok(document) => self.document(&mut Reader::new(name, text, findings), document, now),
                Err(wrong) => {
                    let At { line, column } = wrong.at;
                    let place = Place { file: Arc::clone(name), line, column };
                    findings.mistake(ErrorCode::FileInvalid, place, wrong.message);
                }
            }
            true
        });
    }

    fn document(&mut self, reader: &mut Reader<'_>, document: Node, now: Timestamp) {
        let at = document.at;
        let allowed = &["apiVersion", "kind", "metadata", "spec"];
        let Some(mut fields) = Fields::of(reader, "a document", document, allowed) else { return };
        let Some(kind) = kind(reader, &mut fields) else { return };
        let name = name(reader, &mut fields, kind, at);
        if let (Kind::Policy | Kind::Group, Some(name)) = (kind, &name) {
            self.named.insert((kind, name.clone()));
        }
        let Some(spec) = fields.need(reader, "spec") else { return };
        let spec = match kind {
            Kind::Policy => PolicySpec::read(reader, spec).map(Spec::Policy),
            Kind::Group => GroupSpec::read(reader, spec).map(Spec::Group),
            Kind::Assignment => AssignmentSpec::read(reader, spec).map(Spec::Assignment),
            Kind::EnforcementScope => {
                ScopeSpec::read(reader, spec).map(|spec| Spec::EnforcementScope(Box::new(spec)))
            }
            Kind::Waiver => WaiverSpec::read(reader, spec).map(Spec::Waiver),
        };
        let Some(name) = name else { return };
        if let Some(Spec::Waiver(waiver)) = &spec {
            check_time(reader, waiver, at, now);
        }
        // A name is taken by an object with mistakes too.
        let identity = identity(kind, &name, spec.as_ref());
        let place = reader.place(at);
        if let Some(first) = identity.as_ref().and_then(|identity| self.seen.get(identity)) {
            reader.wrong(at, format!("{kind} {name:?} stands twice; the other is at {first}"));
            return;
        }
        if let Some(identity) = identity {
            self.seen.insert(identity, place.clone());
        }
        if let Some(spec) = spec {
            self.set.objects.push(Object { place, name, spec });
        }
    }

    /// What is referred to need not be in the files: it may be on the server.
    fn warn_of_dangling(&self, findings: &mut Findings) {
        let mut missing = |kind: Kind, named: &Named| {
            let there = self.named.contains(&(kind, named.name.clone()));
            if !there && Uuid::try_parse(&named.name).is_err() && !named.name.contains('/') {
                let message =
                    format!("{kind} {:?} is not in these files; it must be on the server", named.name);
                findings.warning(named.place.clone(), message);
            }
        };
        for object in &self.set.objects {
            match &object.spec {
                Spec::Assignment(spec) => {
                    missing(Kind::Policy, &spec.policy);
                    missing(Kind::Group, &spec.group);
                }
                Spec::Waiver(spec) => {
                    spec.policy.iter().for_each(|policy| missing(Kind::Policy, policy));
                    if let Target::Group(group) = &spec.target {
                        missing(Kind::Group, group);
                    }
                }
                Spec::Policy(_) | Spec::Group(_) | Spec::EnforcementScope(_) => {}
            }
        }
    }
}

fn kind(reader: &mut Reader<'_>, fields: &mut Fields) -> Option<Kind> {
    let (version, kind) = (fields.need(reader, "apiVersion"), fields.need(reader, "kind"));
    let version = Text::of(reader, "apiVersion", version?)?;
    if version.text != API_VERSION {
        let message = format!("apiVersion: expected {API_VERSION}, found {:?}", version.text);
        reader.wrong(version.at, message);
        return None;
    }
    let text = Text::of(reader, "kind", kind?)?;
    let found = KINDS.iter().find(|(name, _)| *name == text.text).map(|(_, kind)| *kind);
    if found.is_none() {
        let known: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
        let message = format!("kind: expected one of {}, found {:?}", known.join(", "), text.text);
        reader.wrong(text.at, message);
    }
    found
}

/// The name in `metadata`; those that are told apart by other things may have none.
fn name(reader: &mut Reader<'_>, fields: &mut Fields, kind: Kind, at: At) -> Option<String> {
    let needed = matches!(kind, Kind::Policy | Kind::Group);
    let Some(metadata) = fields.take("metadata") else {
        if needed {
            reader.wrong(at, "metadata is missing: expected a name");
            return None;
        }
        return Some(String::new());
    };
    let mut metadata = Fields::of(reader, "metadata", metadata, &["name"])?;
    if needed {
        return metadata.need_text(reader, "name", NAME_CHARS_MAX).map(|name| name.text);
    }
    let before = reader.mistake_count();
    let name = metadata.some_text(reader, "name", NAME_CHARS_MAX).unwrap_or_default();
    (reader.mistake_count() == before).then_some(name)
}

fn identity(kind: Kind, name: &str, spec: Option<&Spec>) -> Option<Identity> {
    let parts = match (kind, spec) {
        (Kind::Policy | Kind::Group, _) => vec![name.to_owned()],
        (Kind::EnforcementScope, _) => Vec::new(),
        (Kind::Assignment, Some(Spec::Assignment(spec))) => {
            vec![spec.policy.name.clone(), spec.group.name.clone()]
        }
        (Kind::Waiver, Some(Spec::Waiver(spec))) => vec![
            spec.policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default(),
            spec.setting.as_ref().map(ToString::to_string).unwrap_or_default(),
            matches!(spec.target, Target::Group(_)).to_string(),
            spec.target.named().to_owned(),
        ],
        (Kind::Assignment | Kind::Waiver, _) => return None,
    };
    Some(Identity(kind, parts))
}

fn check_time(reader: &mut Reader<'_>, waiver: &WaiverSpec, at: At, now: Timestamp) {
    if waiver.expires <= now {
        reader.warning(at, format!("the waiver's time was over at {}; it has no effect", waiver.expires));
    } else if waiver.expires.since(now) > WAIVER_MAX {
        reader.wrong(at, "expires: a waiver ends within 366 days");
    }
}
