//! From the files to the types; every mistake is found in one reading.

mod kind;
mod list;
mod rule;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use muster_errors::ErrorCode;
use muster_types::SettingId;

use crate::applicability::AgentLevel;
use crate::file::{ChannelsFile, MergeFile, ProfileFile, RuleFactFile, SCHEMA, SettingFile};
use crate::model::{Catalogue, Channels, DependsOn, Profile, Setting};
use crate::{levels, sound};

pub(crate) use value::named;

/// One mistake in a catalogue file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file's stem.
    pub file: String,
    /// The setting, where one is concerned.
    pub setting: Option<String>,
    /// The field, where one is concerned.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.yaml: ", self.file)?;
        for part in [&self.setting, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// The catalogue cannot be used: `CATALOGUE_INVALID`, with every mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueInvalid {
    /// The mistakes, never empty.
    pub mistakes: Vec<Mistake>,
}

impl CatalogueInvalid {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::CatalogueInvalid
    }
}

impl fmt::Display for CatalogueInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings catalogue has {} mistake(s)", self.mistakes.len())?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "; {mistake}"))
    }
}

impl std::error::Error for CatalogueInvalid {}

/// Where mistakes are gathered, and where the reader stands.
pub(crate) struct Findings<'a> {
    file: &'a str,
    setting: Option<String>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Findings<'a> {
    pub(crate) const fn of_file(file: &'a str, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { file, setting: None, mistakes }
    }

    pub(crate) fn enter(&mut self, setting: &str) {
        self.setting = Some(setting.to_owned());
    }

    pub(crate) fn leave(&mut self) {
        self.setting = None;
    }

    pub(crate) fn add(&mut self, field: &str, problem: impl Into<String>) {
        let field = (!field.is_empty()).then(|| field.to_owned());
        let (file, setting) = (self.file.to_owned(), self.setting.clone());
        self.mistakes.push(Mistake { file, setting, field, problem: problem.into() });
    }
}

impl Catalogue {
    /// Reads and checks files, given as (stem, text).
    ///
    /// # Errors
    /// [`CatalogueInvalid`] with every mistake of every file.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, CatalogueInvalid> {
        let mut mistakes = Vec::new();
        let mut profiles = BTreeMap::new();
        for (stem, text) in files {
            let mut findings = Findings::of_file(stem, &mut mistakes);
            match serde_saphyr::from_str::<ProfileFile>(text) {
                Ok(file) => {
                    let profile = profile(stem, file, &mut findings);
                    if profiles.insert(stem.to_owned(), profile).is_some() {
                        findings.add("", "is given twice");
                    }
                }
                Err(error) => findings.add("", error.to_string()),
            }
        }
        let thresholds = levels::of(&mut profiles, &mut mistakes);
        let catalogue = Self { profiles, thresholds };
        // What lies across settings is only worth checking on settings that were read.
        if mistakes.is_empty() {
            sound::check(&catalogue, &mut mistakes);
        }
        if mistakes.is_empty() { Ok(catalogue) } else { Err(CatalogueInvalid { mistakes }) }
    }
}

fn profile(stem: &str, file: ProfileFile, findings: &mut Findings<'_>) -> Profile {
    let ProfileFile {
        schema,
        policy_type,
        _profile: _,
        profile_name,
        platform,
        template_id,
        _template_technologies: _,
        profile_channels,
        channels_as_of,
        domain_controllers,
        file: lands_in,
        structure,
        max_items,
        list: list_file,
        profile_notes,
        sources,
        setting_count,
        settings: setting_files,
    } = file;
    if schema != SCHEMA {
        findings.add("schema", format!("expected {SCHEMA}, found {schema}"));
    }
    if setting_count != setting_files.len() {
        findings.add(
            "setting_count",
            format!("says {setting_count}, the file has {} settings", setting_files.len()),
        );
    }
    let mut by_name = BTreeMap::new();
    let mut settings = Vec::with_capacity(setting_files.len());
    for file in setting_files {
        let name = file.id.clone();
        findings.enter(&name);
        if by_name.contains_key(&name) {
            findings.add("id", "occurs twice in the file");
        }
        if let Some(setting) = setting(stem, file, findings) {
            by_name.insert(name, settings.len());
            settings.push(setting);
        }
        findings.leave();
    }
    rule::link(&mut settings);
    if let Some(file) = list_file {
        findings.enter(&file.id);
        let list = list::compose(stem, file, &mut settings, max_items, findings);
        if let Some(list) = list {
            if by_name.contains_key(list.id.setting()) {
                findings.add("list.id", "is also the id of a setting");
            }
            settings.insert(0, list);
            let names = settings.iter().enumerate();
            by_name = names.map(|(place, setting)| (setting.id.setting().to_owned(), place)).collect();
        }
        findings.leave();
    }
    Profile {
        id: stem.to_owned(),
        name: profile_name,
        policy_type,
        platform,
        channels: channels(profile_channels),
        channels_2023_09: channels_as_of.map(|as_of| channels(as_of.september_2023)),
        domain_controllers: domain_controllers.map(channels),
        file: lands_in,
        template_id,
        structure,
        max_items,
        notes: profile_notes,
        sources,
        settings,
        by_name,
    }
}

const fn channels(file: ChannelsFile) -> Channels {
    let ChannelsFile { ssm, mdm } = file;
    Channels { ssm, mdm }
}

fn setting(stem: &str, file: SettingFile, findings: &mut Findings<'_>) -> Option<Setting> {
    let kind = kind::of_setting(&file, findings);
    let id = match format!("{stem}/{}", file.id).parse::<SettingId>() {
        Ok(id) => id,
        Err(error) => {
            findings.add("id", error.to_string());
            return None;
        }
    };
    let default = file.default.map(|default| value::domain(&kind, value::raw(default)));
    let depends_on = file.depends_on.and_then(|depends| {
        let setting = format!("{stem}/{}", depends.id).parse();
        if setting.is_err() {
            findings.add("depends_on", format!("{:?} is no setting id", depends.id));
        }
        Some(DependsOn {
            setting: setting.ok()?,
            values: depends.values.into_iter().map(value::raw).collect(),
        })
    });
    let MergeFile { mode: merge, note: merge_note } = file.merge;
    Some(Setting {
        id,
        key: file.key,
        name: file.name,
        group: file.group,
        kind,
        default,
        lands: file.lands,
        merge,
        merge_note,
        tamper_protected: file.tamper_protected,
        tamper_condition: file.tamper_condition,
        channels: channels(file.channels),
        channels_2023_09: file.channels_as_of.map(|as_of| channels(as_of.september_2023)),
        min_agent: file.min_agent,
        agent_level: AgentLevel::default(),
        depends_on,
        constraints: rule::constraints(file.constraints, findings),
        status: file.status,
        secret: file.secret,
        read_only: file.read_only,
        rule_guid: file.rule_guid,
        rule_facts: file.rule.into_iter().map(|(name, fact)| (name, rule_fact(fact))).collect(),
        notes: file.notes,
        confidence: file.confidence,
        composed: false,
    })
}

fn rule_fact(fact: RuleFactFile) -> String {
    match fact {
        RuleFactFile::Bool(value) => if value { "yes" } else { "no" }.to_owned(),
        RuleFactFile::Text(text) => text,
        RuleFactFile::List(items) => items.join(", "),
    }
}
