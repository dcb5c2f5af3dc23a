//! One setting.

use std::collections::BTreeMap;

use muster_types::{SettingId, SettingValue};
use serde::{Deserialize, Serialize};

use crate::applicability::{AgentLevel, Channel};
use crate::model::delivery::channels_as_of;
use crate::model::{Channels, Constraint, DependsOn, Kind};
use crate::platforms::Edition;

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
    /// Rules across settings of the profile.
    pub constraints: Vec<Constraint>,
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
    /// Whether it is a list that this catalogue composed: the profile's other settings are the fields of its items.
    pub composed: bool,
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

/// Where a setting lands on a device, and under which names others know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TamperCondition {
    /// When it is on for exclusions too.
    ExclusionsLocked,
}

/// Whether a setting should still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Read in a source listed.
    Verified,
    /// Inferred from one.
    Derived,
    /// Known to its author; not found in a source.
    AuthorKnowledge,
}
