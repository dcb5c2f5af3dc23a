//! From the files to the types; every mistake is found in one reading.

use std::collections::BTreeMap;
use std::fmt;

use muster_errors::ErrorCode;
use muster_types::{SettingId, SettingValue};

use crate::applicability::AgentLevel;
use crate::file::{
    ChannelsFile, DefaultFile, FieldFile, ItemFile, ItemTypeFile, MergeFile, ProfileFile, RuleFactFile,
    SCHEMA, ScalarFile, SettingFile, TypeFile, ValueFile, WireFile,
};
use crate::model::{
    BoolWire, Catalogue, Channels, DependsOn, EnumValue, Field, FlagValue, ITEMS_MAX, Kind, ObjectSchema,
    Pattern, Profile, Setting, TEXT_CHARS_MAX, TextItems, WireScalar,
};
use crate::{levels, sound};

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
    let kind = kind(&Shape::of_setting(&file), findings);
    let id = match format!("{stem}/{}", file.id).parse::<SettingId>() {
        Ok(id) => id,
        Err(error) => {
            findings.add("id", error.to_string());
            return None;
        }
    };
    let default = file.default.map(|default| domain_default(&kind, default));
    let depends_on = file.depends_on.and_then(|depends| {
        let setting = format!("{stem}/{}", depends.id).parse();
        if setting.is_err() {
            findings.add("depends_on", format!("{:?} is no setting id", depends.id));
        }
        Some(DependsOn {
            setting: setting.ok()?,
            values: depends.values.into_iter().map(scalar_value).collect(),
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
        constraints: file.constraints,
        status: file.status,
        secret: file.secret,
        read_only: file.read_only,
        rule_guid: file.rule_guid,
        rule_facts: file.rule.into_iter().map(|(name, fact)| (name, rule_fact(fact))).collect(),
        notes: file.notes,
        confidence: file.confidence,
    })
}

fn rule_fact(fact: RuleFactFile) -> String {
    match fact {
        RuleFactFile::Bool(value) => if value { "yes" } else { "no" }.to_owned(),
        RuleFactFile::Text(text) => text,
        RuleFactFile::List(items) => items.join(", "),
    }
}

/// What settings and fields of objects have in common: a type and its bounds.
struct Shape<'a> {
    kind: TypeFile,
    values: Option<&'a [ValueFile]>,
    values_open: bool,
    wire: Option<&'a WireFile>,
    min: Option<i64>,
    max: Option<i64>,
    unit: Option<&'a str>,
    min_length: Option<u32>,
    max_length: Option<u32>,
    max_items: Option<u32>,
    item: Option<&'a ItemFile>,
}

impl<'a> Shape<'a> {
    fn of_setting(file: &'a SettingFile) -> Self {
        Self {
            kind: file.kind,
            values: file.values.as_deref(),
            values_open: file.values_open,
            wire: file.wire.as_ref(),
            min: file.min,
            max: file.max,
            unit: file.unit.as_deref(),
            min_length: file.min_length,
            max_length: file.max_length,
            max_items: file.max_items,
            item: file.item_schema.as_ref(),
        }
    }

    fn of_field(file: &'a FieldFile) -> Self {
        Self {
            kind: file.kind,
            values: file.values.as_deref(),
            values_open: false,
            wire: None,
            min: file.min,
            max: file.max,
            unit: None,
            min_length: file.min_length,
            max_length: file.max_length,
            max_items: None,
            item: None,
        }
    }

    /// Bounds that the type knows nothing of are mistakes: someone believes they hold.
    fn refuse_foreign_bounds(&self, findings: &mut Findings<'_>) {
        use TypeFile::{Bool, Enum, Flags, Integer, ObjectList, String, StringList};
        let given: [(&str, bool, &[TypeFile]); 7] = [
            ("values", self.values.is_some(), &[Enum, Flags, StringList]),
            ("wire", self.wire.is_some(), &[Bool]),
            ("min, max", self.min.is_some() || self.max.is_some(), &[Integer]),
            ("unit", self.unit.is_some(), &[Integer]),
            ("min_length, max_length", self.min_length.is_some() || self.max_length.is_some(), &[String]),
            ("max_items", self.max_items.is_some(), &[StringList, ObjectList]),
            ("item_schema", self.item.is_some(), &[StringList, ObjectList]),
        ];
        for (field, present, types) in given {
            if present && !types.contains(&self.kind) {
                findings.add(field, "has no meaning for this type");
            }
        }
    }
}

fn kind(shape: &Shape<'_>, findings: &mut Findings<'_>) -> Kind {
    shape.refuse_foreign_bounds(findings);
    match shape.kind {
        TypeFile::Bool => Kind::Bool { wire: bool_wire(shape.wire, findings) },
        TypeFile::Enum => Kind::Enum { values: enum_values(shape, true, findings) },
        TypeFile::Flags => Kind::Flags { values: flag_values(shape, findings) },
        TypeFile::Integer => {
            let (Some(min), Some(max)) = (shape.min, shape.max) else {
                findings.add("min, max", "an integer needs both");
                return Kind::Integer { min: 0, max: 0, unit: None };
            };
            if min > max {
                findings.add("min, max", format!("min {min} is above max {max}"));
            }
            Kind::Integer { min, max, unit: shape.unit.map(str::to_owned) }
        }
        TypeFile::String => Kind::Text(TextItems {
            min_length: shape.min_length.unwrap_or(0),
            max_length: shape.max_length.unwrap_or(TEXT_CHARS_MAX),
            pattern: None,
            values: Vec::new(),
            open: true,
        }),
        TypeFile::StringList => Kind::TextList {
            items: text_items(shape, findings),
            max_items: shape.max_items.unwrap_or(ITEMS_MAX),
        },
        TypeFile::ObjectList => Kind::ObjectList {
            schema: object(shape, findings),
            max_items: shape.max_items.unwrap_or(ITEMS_MAX),
        },
    }
}

fn bool_wire(wire: Option<&WireFile>, findings: &mut Findings<'_>) -> BoolWire {
    match wire.map(|WireFile { no, yes }| (no, yes)) {
        None => BoolWire::Native,
        Some((ScalarFile::Integer(0), ScalarFile::Integer(1))) => BoolWire::Number,
        Some((ScalarFile::Text(no), ScalarFile::Text(yes))) if no == "false" && yes == "true" => {
            BoolWire::Word
        }
        Some(_) => {
            findings.add("wire", "expected 0 and 1, or the texts false and true");
            BoolWire::Native
        }
    }
}

fn enum_values(shape: &Shape<'_>, needed: bool, findings: &mut Findings<'_>) -> Vec<EnumValue> {
    let values: Vec<EnumValue> = shape
        .values
        .unwrap_or_default()
        .iter()
        .filter_map(|ValueFile { value, id }| {
            let wire = match value {
                ScalarFile::Integer(value) => WireScalar::Integer(*value),
                ScalarFile::Text(value) => WireScalar::Text(value.clone()),
                ScalarFile::Bool(_) => {
                    findings.add("values", format!("{id}: a value is a number or a text; quote it"));
                    return None;
                }
            };
            Some(EnumValue { id: id.clone(), wire })
        })
        .collect();
    if needed && values.is_empty() {
        findings.add("values", "an enum needs them");
    }
    for (index, value) in values.iter().enumerate() {
        let word = value.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if value.id.is_empty() || !word {
            findings.add("values", format!("{:?}: an id is made of a-z, 0-9 and _", value.id));
        }
        if values[..index].iter().any(|before| before.id == value.id || before.wire == value.wire) {
            findings.add("values", format!("{}: id or value occurs twice", value.id));
        }
    }
    values
}

fn flag_values(shape: &Shape<'_>, findings: &mut Findings<'_>) -> Vec<FlagValue> {
    enum_values(shape, true, findings)
        .into_iter()
        .filter_map(|EnumValue { id, wire }| match wire {
            WireScalar::Integer(bits) if bits >= 0 => Some(FlagValue { id, bits }),
            WireScalar::Integer(_) | WireScalar::Text(_) => {
                findings.add("values", format!("{id}: a flag is a number of bits"));
                None
            }
        })
        .collect()
}

fn text_items(shape: &Shape<'_>, findings: &mut Findings<'_>) -> TextItems {
    if shape.item.is_some_and(|item| item.kind != ItemTypeFile::String || !item.fields.0.is_empty()) {
        findings.add("item_schema", "the items of a string_list are strings");
    }
    let values = enum_values(shape, false, findings);
    if values.iter().any(|value| matches!(value.wire, WireScalar::Integer(_))) {
        findings.add("values", "the items of a string_list are texts");
    }
    TextItems {
        min_length: shape.item.and_then(|item| item.min_length).unwrap_or(1),
        max_length: shape.item.and_then(|item| item.max_length).unwrap_or(TEXT_CHARS_MAX),
        pattern: shape.item.and_then(|item| pattern(item, findings)),
        open: shape.values_open || values.is_empty(),
        values,
    }
}

fn pattern(item: &ItemFile, findings: &mut Findings<'_>) -> Option<Pattern> {
    match regex_lite::Regex::new(item.pattern.as_deref()?) {
        Ok(regex) => Some(Pattern(regex)),
        Err(error) => {
            findings.add("item_schema.pattern", error.to_string());
            None
        }
    }
}

fn object(shape: &Shape<'_>, findings: &mut Findings<'_>) -> ObjectSchema {
    let Some(item) = shape.item.filter(|item| item.kind == ItemTypeFile::Object && !item.fields.0.is_empty())
    else {
        findings.add("item_schema", "an object_list needs one, of type object, with fields");
        return ObjectSchema { fields: Vec::new(), unique_by: None, require_any_of: Vec::new() };
    };
    let fields = item
        .fields
        .0
        .iter()
        .map(|(id, file)| {
            if file.kind == TypeFile::ObjectList {
                findings.add("item_schema", format!("{id}: a field is never an object_list"));
            }
            Field {
                id: id.clone(),
                key: file.key.clone(),
                kind: kind(&Shape::of_field(file), findings),
                required: file.required,
                used_when: file.used_when.clone(),
                note: file.note.clone(),
            }
        })
        .collect();
    ObjectSchema { fields, unique_by: item.unique_by.clone(), require_any_of: item.require_any_of.clone() }
}

fn scalar_value(scalar: ScalarFile) -> SettingValue {
    match scalar {
        ScalarFile::Bool(value) => SettingValue::Boolean(value),
        ScalarFile::Integer(value) => SettingValue::Integer(value),
        ScalarFile::Text(value) => SettingValue::Text(value),
    }
}

/// Files write defaults as they stand on the wire; the domain knows enum values by their ids. What does not fit is left
/// as it is, and found when the default is checked against the type.
fn domain_default(kind: &Kind, default: DefaultFile) -> SettingValue {
    match default {
        DefaultFile::Scalar(scalar) => domain_scalar(kind, scalar_value(scalar)),
        DefaultFile::List(items) => SettingValue::Strings(match kind {
            Kind::TextList { items: allowed, .. } => {
                items.into_iter().map(|item| named(&allowed.values, item)).collect()
            }
            Kind::Bool { .. }
            | Kind::Enum { .. }
            | Kind::Flags { .. }
            | Kind::Integer { .. }
            | Kind::Text(_)
            | Kind::ObjectList { .. } => items,
        }),
    }
}

/// A value as files write it (the wire's) as the domain writes it.
pub(crate) fn domain_scalar(kind: &Kind, value: SettingValue) -> SettingValue {
    let Kind::Enum { values } = kind else { return value };
    let wire = match &value {
        SettingValue::Integer(number) => WireScalar::Integer(*number),
        SettingValue::Text(text) => WireScalar::Text(text.clone()),
        SettingValue::Boolean(_) | SettingValue::Strings(_) | SettingValue::Objects(_) => return value,
    };
    values
        .iter()
        .find(|candidate| candidate.wire == wire)
        .map_or(value, |found| SettingValue::Text(found.id.clone()))
}

/// The name of an item that has one.
pub(crate) fn named(values: &[EnumValue], item: String) -> String {
    let wire = WireScalar::Text(item);
    match values.iter().find(|value| value.wire == wire) {
        Some(value) => value.id.clone(),
        None => wire.to_string(),
    }
}
