//! The catalogue as types.

use std::collections::BTreeMap;
use std::fmt;

use muster_types::{SettingId, SettingValue};
use serde::Deserialize;

use crate::applicability::{AgentLevel, Channel};
use crate::platforms::{Edition, VersionNumbers};

/// Most items of a list setting that names no limit of its own.
pub const ITEMS_MAX: u32 = 2_000;
/// Most characters of a text that names no limit of its own.
pub const TEXT_CHARS_MAX: u32 = 16_384;

/// All profiles.
#[derive(Debug)]
pub struct Catalogue {
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// Of each platform the versions at which settings came, sorted, each once.
    pub(crate) thresholds: BTreeMap<Platform, Vec<VersionNumbers>>,
}

impl Catalogue {
    /// A profile by its id, for example `linux-antivirus`.
    #[must_use]
    pub fn profile(&self, id: &str) -> Option<&Profile> {
        self.profiles.get(id)
    }

    /// All profiles, sorted by id.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// A setting by its id, for example `linux-antivirus/enforcement_level`.
    #[must_use]
    pub fn setting(&self, id: &SettingId) -> Option<&Setting> {
        self.profile(id.profile())?.setting(id.setting())
    }

    /// All settings of all profiles.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.profiles().flat_map(|profile| &profile.settings)
    }
}

/// A profile: the settings that one policy may set, on one platform.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The id: the stem of its file.
    pub id: String,
    /// The label that people know.
    pub name: String,
    /// The kind of policy, for example `antivirus`.
    pub policy_type: String,
    /// The platform it is for.
    pub platform: Platform,
    /// Whether devices without MDM, and devices in MDM, can be given it.
    pub channels: Channels,
    /// The same under the rules of 2023-09, where it was different then.
    pub channels_2023_09: Option<Channels>,
    /// The same of domain controllers, where it is different for them.
    pub domain_controllers: Option<Channels>,
    /// File on the device where the merged result lands, on platforms where it is a file.
    pub file: Option<String>,
    /// The vendor's template, with its version.
    pub template_id: Option<String>,
    /// How `settings` is to be read where the profile is a list.
    pub structure: Option<String>,
    /// Most items of the list, where the profile is one.
    pub max_items: Option<u32>,
    /// Facts worth knowing.
    pub notes: Vec<String>,
    /// Where the facts were read, with their date.
    pub sources: Vec<String>,
    /// The settings, in the order of the file.
    pub settings: Vec<Setting>,
    pub(crate) by_name: BTreeMap<String, usize>,
}

impl Profile {
    /// A setting by its id within the profile, for example `enforcement_level`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.by_name.get(name).and_then(|index| self.settings.get(*index))
    }

    /// Which channels carry it under an edition of the rules.
    #[must_use]
    pub fn channels_as_of(&self, as_of: Edition) -> Channels {
        channels_as_of(self.channels, self.channels_2023_09, as_of)
    }

    /// Whether a channel refuses it on domain controllers alone.
    #[must_use]
    pub fn refused_on_domain_controllers(&self, channel: Channel) -> bool {
        self.domain_controllers.is_some_and(|channels| !channels.on(channel).deliverable())
    }
}

/// An operating system that has profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Linux.
    Linux,
    /// macOS.
    Macos,
    /// Windows, client and server.
    Windows,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "linux",
            Self::Macos => "macos",
            Self::Windows => "windows",
        })
    }
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Linux, Self::Macos, Self::Windows];

    /// Its name as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows",
        }
    }
}

/// Which ways of delivery can carry something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// Security settings management: the device is in no MDM.
    pub ssm: Support,
    /// The device is in an MDM.
    pub mdm: Support,
}

impl Channels {
    /// What holds on a channel.
    #[must_use]
    pub const fn on(self, channel: Channel) -> Support {
        match channel {
            Channel::Ssm => self.ssm,
            Channel::Mdm => self.mdm,
        }
    }
}

const fn channels_as_of(current: Channels, in_2023_09: Option<Channels>, as_of: Edition) -> Channels {
    match (as_of, in_2023_09) {
        (Edition::September2023, Some(channels)) => channels,
        (Edition::September2023, None) | (Edition::Current, _) => current,
    }
}

/// Whether a channel can carry something, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// It does.
    Supported,
    /// It does, since 2025.
    #[serde(rename = "supported_since_2025")]
    SupportedSince2025,
    /// The documents say so; the vendor's catalogue does not mark it.
    SupportedPerDocsNotTaggedInDump,
    /// The template has it; the documents are silent.
    LikelySupported,
    /// It does, but should not be used.
    Deprecated,
    /// The profile as a whole is not carried.
    NotSupported,
    /// The documents name it as not carried.
    Unsupported,
    /// The channel's profile lacks it.
    NotInSsmProfile,
    /// It would mean nothing on this channel.
    NotUseful,
    /// A key of the managed JSON file that no profile offers.
    JsonOnly,
    /// A key of the managed property list that no profile offers.
    PlistOnly,
    /// The channel does not exist on this platform.
    #[serde(rename = "n/a")]
    NotApplicable,
}

impl Support {
    /// Whether the channel delivers it.
    #[must_use]
    pub const fn deliverable(self) -> bool {
        match self {
            Self::Supported
            | Self::SupportedSince2025
            | Self::SupportedPerDocsNotTaggedInDump
            | Self::LikelySupported
            | Self::Deprecated => true,
            Self::NotSupported
            | Self::Unsupported
            | Self::NotInSsmProfile
            | Self::NotUseful
            | Self::JsonOnly
            | Self::PlistOnly
            | Self::NotApplicable => false,
        }
    }

    /// The same for people, as a fragment after "it is".
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::SupportedSince2025 => "supported since 2025",
            Self::SupportedPerDocsNotTaggedInDump => "supported (by the documentation)",
            Self::LikelySupported => "likely supported (in the template, documentation silent)",
            Self::Deprecated => "deprecated",
            Self::NotSupported => "not supported",
            Self::Unsupported => "documented as not applied",
            Self::NotInSsmProfile => "not in the profile",
            Self::NotUseful => "without meaning here",
            Self::JsonOnly => "a key of the managed JSON file only",
            Self::PlistOnly => "a key of the managed property list only",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The id: `{profile}/{setting}`.
    pub id: SettingId,
    /// The vendor's key.
    pub key: String,
    /// The label that people know.
    pub name: String,
    /// Section within the profile.
    pub group: String,
    /// Type and bounds.
    pub kind: Kind,
    /// What holds where nothing is set; `None` where the engine decides or nothing holds.
    pub default: Option<SettingValue>,
    /// Where it lands on the device.
    pub lands: Lands,
    /// What happens when several policies set it.
    pub merge: MergeMode,
    /// Why that mode.
    pub merge_note: Option<String>,
    /// Whether tamper protection locks it.
    pub tamper_protected: Tamper,
    /// Of one that is locked under conditions: the condition, where a device says whether it holds.
    pub tamper_condition: Option<TamperCondition>,
    /// Which channels carry it.
    pub channels: Channels,
    /// The same under the rules of 2023-09, where it was different then.
    pub channels_2023_09: Option<Channels>,
    /// First version of the security product on the device that knows it.
    pub min_agent: Option<String>,
    /// The same as a level of its platform.
    pub agent_level: AgentLevel,
    /// Another setting that must have one of some values for this one to mean anything.
    pub depends_on: Option<DependsOn>,
    /// Rules across fields, in words.
    pub constraints: Vec<String>,
    /// Whether it should still be used.
    pub status: Status,
    /// The value must not be shown.
    pub secret: bool,
    /// It can be read, not set.
    pub read_only: bool,
    /// Of an attack surface reduction rule: its GUID.
    pub rule_guid: Option<String>,
    /// Of an attack surface reduction rule: what is known of it, by name.
    pub rule_facts: BTreeMap<String, String>,
    /// Facts worth knowing.
    pub notes: Option<String>,
    /// How the facts are known.
    pub confidence: Confidence,
}

impl Setting {
    /// Whether a policy may set it: writable, no mere field of another setting, and deliverable to some devices. To which
    /// is a matter of the device ([`Catalogue::support`]).
    #[must_use]
    pub fn settable(&self) -> bool {
        let carried =
            |channels: Channels| Channel::ALL.into_iter().any(|channel| channels.on(channel).deliverable());
        (carried(self.channels) || self.channels_2023_09.is_some_and(carried)) && self.settable_on_its_own()
    }

    fn settable_on_its_own(&self) -> bool {
        !self.read_only && self.merge != MergeMode::PartOfItem
    }

    /// Which channels carry it under an edition of the rules, where they carry its profile.
    #[must_use]
    pub fn channels_as_of(&self, as_of: Edition) -> Channels {
        channels_as_of(self.channels, self.channels_2023_09, as_of)
    }
}

/// The type of a setting, or of a field of an object, and its bounds.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `true` or `false`.
    Bool {
        /// What they become on the wire.
        wire: BoolWire,
    },
    /// One of some values; in our domain always by their catalogue ids.
    Enum {
        /// The values.
        values: Vec<EnumValue>,
    },
    /// A sum of flags.
    Flags {
        /// The flags.
        values: Vec<FlagValue>,
    },
    /// A whole number.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
        /// What it counts, for example `days`.
        unit: Option<String>,
    },
    /// A text.
    Text(TextItems),
    /// A list of texts.
    TextList {
        /// What one item may be.
        items: TextItems,
        /// Most items.
        max_items: u32,
    },
    /// A list of objects.
    ObjectList {
        /// What one object is made of.
        schema: ObjectSchema,
        /// Most objects.
        max_items: u32,
    },
}

impl Kind {
    /// The type's name as the catalogue's files write it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool { .. } => "bool",
            Self::Enum { .. } => "enum",
            Self::Flags { .. } => "flags",
            Self::Integer { .. } => "integer",
            Self::Text(_) => "string",
            Self::TextList { .. } => "string_list",
            Self::ObjectList { .. } => "object_list",
        }
    }
}

/// What `false` and `true` become on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolWire {
    /// A boolean.
    Native,
    /// `0` and `1`.
    Number,
    /// The texts `false` and `true`.
    Word,
}

/// A value of an enum, or a named item of a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumValue {
    /// Our name for it.
    pub id: String,
    /// What stands on the wire.
    pub wire: WireScalar,
}

/// A number or a text on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WireScalar {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for WireScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// Our name for it.
    pub id: String,
    /// Its bits.
    pub bits: i64,
}

/// What a text, or an item of a list of texts, may be.
#[derive(Debug, Clone)]
pub struct TextItems {
    /// Fewest characters.
    pub min_length: u32,
    /// Most characters.
    pub max_length: u32,
    /// A form it must have.
    pub pattern: Option<Pattern>,
    /// Items that have a name; the name is what stands in our domain.
    pub values: Vec<EnumValue>,
    /// Whether other items than the named are allowed.
    pub open: bool,
}

/// A regular expression that compiled.
#[derive(Debug, Clone)]
pub struct Pattern(pub(crate) regex_lite::Regex);

impl Pattern {
    /// Whether a text has the form.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What an object of a list is made of.
#[derive(Debug, Clone)]
pub struct ObjectSchema {
    /// Its fields, in the order of the file.
    pub fields: Vec<Field>,
    /// Field whose value may occur once in the list.
    pub unique_by: Option<String>,
    /// Fields of which at least one must be there.
    pub require_any_of: Vec<String>,
}

impl ObjectSchema {
    /// A field by its id.
    #[must_use]
    pub fn field(&self, id: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }
}

/// A field of an object.
#[derive(Debug, Clone)]
pub struct Field {
    /// Our name for it.
    pub id: String,
    /// Its name on the wire.
    pub key: String,
    /// Type and bounds; never a list of objects.
    pub kind: Kind,
    /// Whether it must be there (where it is used at all).
    pub required: bool,
    /// When it is used; always, if `None`.
    pub used_when: Option<UsedWhen>,
    /// A fact worth knowing.
    pub note: Option<String>,
}

/// A field is used only where another field has a value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsedWhen {
    /// Id of the other field, an enum.
    pub field: String,
    /// Id of the value it must have.
    pub value: String,
}

/// A setting means something only where another has one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependsOn {
    /// The other setting, of the same profile.
    pub setting: SettingId,
    /// The values, as our domain writes them.
    pub values: Vec<SettingValue>,
}

/// Where a setting lands on a device, and under which names others know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each is a vendor's address, under the vendor's word for it")]
pub struct Lands {
    pub json_path: Option<String>,
    pub plist_domain: Option<String>,
    pub plist_key: Option<String>,
    pub csp: Option<String>,
    pub csp_item: Option<String>,
    pub definition_id: Option<String>,
    pub definition_id_status: Option<String>,
    pub option_suffixes: Vec<String>,
    pub registry: Option<String>,
    pub registry_inverted: bool,
    pub registry_type: Option<String>,
    pub registry_mdm: Option<String>,
    pub registry_note: Option<String>,
    pub mp_preference: Option<String>,
    pub mp_preference_inverted: bool,
    pub mp_preference_note: Option<String>,
    pub powershell: Option<String>,
    pub list_separator: Option<String>,
}

impl Lands {
    /// The keys that lead to the setting in the managed JSON file, outermost first; `None` where it lands elsewhere or is
    /// a field of a list's items.
    #[must_use]
    pub fn json_keys(&self) -> Option<Vec<&str>> {
        let path = self.json_path.as_deref()?;
        (!path.contains("[]")).then(|| path.split('.').collect())
    }
}

/// What happens when several policies set one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeMode {
    /// Equal values agree; different values withhold the setting.
    Conflict,
    /// The lists are joined, without duplicates.
    Union,
    /// Each rule stands for itself; only a contradicted one is withheld.
    PerRule,
    /// Items are joined by a key; only a contradicted key is withheld.
    ByKey,
    /// All rules of all policies are delivered.
    Concatenate,
    /// A field of an item; it never merges alone.
    PartOfItem,
}

impl MergeMode {
    /// The mode's name as the catalogue's files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Union => "union",
            Self::PerRule => "per_rule",
            Self::ByKey => "by_key",
            Self::Concatenate => "concatenate",
            Self::PartOfItem => "part_of_item",
        }
    }

    /// What it means, as a sentence.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Conflict => {
                "Policies that agree are fine; if they disagree the setting is withheld and reported."
            }
            Self::Union => "The lists of all policies are joined, without duplicates.",
            Self::PerRule => "Each rule stands for itself: only a rule that policies contradict is withheld.",
            Self::ByKey => "Items are joined by their key: only a key that policies contradict is withheld.",
            Self::Concatenate => "All rules of all policies are delivered.",
            Self::PartOfItem => "A field of a list's items; it never merges alone.",
        }
    }
}

/// Whether tamper protection locks a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tamper {
    /// No.
    No,
    /// Yes.
    Yes,
    /// Under conditions.
    Conditional,
    /// It is the switch itself.
    #[serde(rename = "self")]
    Switch,
}

/// When tamper protection locks a setting that it locks under conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TamperCondition {
    /// When it is on for exclusions too.
    ExclusionsLocked,
}

/// Whether a setting should still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Yes.
    #[default]
    Current,
    /// It is kept for what is in use.
    Legacy,
    /// No; the notes say what to use.
    Deprecated,
}

/// How a fact is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Read in a source listed.
    Verified,
    /// Inferred from one.
    Derived,
    /// Known to its author; not found in a source.
    AuthorKnowledge,
}
