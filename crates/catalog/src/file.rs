//! The catalogue's files as they are written. A key that is not named here is a mistake.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::format::Format;
use crate::model::{
    Confidence, Lands, MergeMode, Platform, Status, Support, Tamper, TamperCondition, UsedWhen,
};

/// The one form of file there is.
pub(crate) const SCHEMA: &str = "catalog/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileFile {
    pub(crate) schema: String,
    pub(crate) policy_type: String,
    /// The vendor's name for the profile; ours is the file's stem.
    #[serde(rename = "profile")]
    pub(crate) _profile: String,
    pub(crate) profile_name: String,
    pub(crate) platform: Platform,
    pub(crate) template_id: Option<String>,
    #[serde(rename = "template_technologies")]
    pub(crate) _template_technologies: Vec<String>,
    pub(crate) profile_channels: ChannelsFile,
    pub(crate) channels_as_of: Option<AsOfFile>,
    pub(crate) domain_controllers: Option<ChannelsFile>,
    pub(crate) file: Option<String>,
    pub(crate) structure: Option<String>,
    pub(crate) max_items: Option<u32>,
    pub(crate) list: Option<ListFile>,
    #[serde(default)]
    pub(crate) profile_notes: Vec<String>,
    pub(crate) sources: Vec<String>,
    pub(crate) setting_count: usize,
    pub(crate) settings: Vec<SettingFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelsFile {
    pub(crate) ssm: Support,
    pub(crate) mdm: Support,
}

/// What was different under earlier rules.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AsOfFile {
    #[serde(rename = "2023-09")]
    pub(crate) september_2023: ChannelsFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingFile {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) group: String,
    #[serde(rename = "type")]
    pub(crate) kind: TypeFile,
    // Written out even where it is null: an omission would pass for "no default".
    #[serde(deserialize_with = "present")]
    pub(crate) default: Option<DefaultFile>,
    pub(crate) values: Option<Vec<ValueFile>>,
    #[serde(default)]
    pub(crate) values_open: bool,
    #[serde(default)]
    pub(crate) values_ignore_case: bool,
    pub(crate) pattern: Option<String>,
    pub(crate) wire: Option<WireFile>,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) unit: Option<String>,
    pub(crate) min_length: Option<u32>,
    pub(crate) max_length: Option<u32>,
    pub(crate) max_items: Option<u32>,
    pub(crate) item_schema: Option<ItemFile>,
    pub(crate) depends_on: Option<ConditionFile>,
    #[serde(default)]
    pub(crate) constraints: Vec<ConstraintFile>,
    pub(crate) lands: Lands,
    pub(crate) merge: MergeFile,
    pub(crate) tamper_protected: Tamper,
    pub(crate) tamper_condition: Option<TamperCondition>,
    pub(crate) channels: ChannelsFile,
    pub(crate) channels_as_of: Option<AsOfFile>,
    pub(crate) min_agent: Option<String>,
    #[serde(default)]
    pub(crate) status: Status,
    pub(crate) confidence: Confidence,
    #[serde(default)]
    pub(crate) secret: bool,
    #[serde(default)]
    pub(crate) read_only: bool,
    pub(crate) rule_guid: Option<String>,
    #[serde(default)]
    pub(crate) rule: BTreeMap<String, RuleFactFile>,
    pub(crate) notes: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DefaultFile>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TypeFile {
    Bool,
    Enum,
    Flags,
    Integer,
    String,
    StringList,
    ObjectList,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum ScalarFile {
    Bool(bool),
    Integer(i64),
    Text(String),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum DefaultFile {
    Scalar(ScalarFile),
    List(Vec<String>),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum RuleFactFile {
    Bool(bool),
    Text(String),
    List(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValueFile {
    pub(crate) value: ScalarFile,
    pub(crate) id: String,
    pub(crate) note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireFile {
    #[serde(rename = "false")]
    pub(crate) no: ScalarFile,
    #[serde(rename = "true")]
    pub(crate) yes: ScalarFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeFile {
    pub(crate) mode: MergeMode,
    pub(crate) note: Option<String>,
}

/// Another setting or field, and the values that it must have.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionFile {
    pub(crate) id: String,
    pub(crate) values: Vec<DefaultFile>,
}

/// A rule across settings or fields: words, and at most one of the forms that the check understands.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConstraintFile {
    pub(crate) words: String,
    pub(crate) not_with: Option<String>,
    pub(crate) needs: Option<NeedsFile>,
    pub(crate) beside: Option<BesideFile>,
    pub(crate) form: Option<FormFile>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NeedsFile {
    pub(crate) own: Option<DefaultFile>,
    pub(crate) id: String,
    pub(crate) values: Vec<DefaultFile>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BesideFile {
    pub(crate) own: Option<DefaultFile>,
    pub(crate) any_of: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormFile {
    pub(crate) format: Format,
    pub(crate) unless: Option<ConditionFile>,
}

/// The list that a profile's settings are the fields of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListFile {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) group: String,
    /// Beginning of the settings' ids that the fields' do not have.
    pub(crate) field_prefix: String,
    pub(crate) unique_by: String,
    pub(crate) required: Vec<String>,
    pub(crate) lands: Lands,
    pub(crate) merge: MergeFile,
    pub(crate) notes: Option<String>,
}

/// One item of a list: a text with bounds, or an object with fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemFile {
    #[serde(rename = "type")]
    pub(crate) kind: ItemTypeFile,
    pub(crate) min_length: Option<u32>,
    pub(crate) max_length: Option<u32>,
    pub(crate) pattern: Option<String>,
    pub(crate) format: Option<Format>,
    pub(crate) alone: Option<String>,
    #[serde(default)]
    pub(crate) fields: Ordered<FieldFile>,
    pub(crate) unique_by: Option<String>,
    #[serde(default)]
    pub(crate) require_any_of: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemTypeFile {
    String,
    Object,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldFile {
    pub(crate) key: String,
    #[serde(rename = "type")]
    pub(crate) kind: TypeFile,
    #[serde(default)]
    pub(crate) required: bool,
    pub(crate) values: Option<Vec<ValueFile>>,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) min_length: Option<u32>,
    pub(crate) max_length: Option<u32>,
    #[serde(default)]
    pub(crate) recommended: bool,
    pub(crate) used_when: Option<UsedWhen>,
    #[serde(default)]
    pub(crate) constraints: Vec<ConstraintFile>,
    pub(crate) note: Option<String>,
}

/// A mapping whose order is part of what it says.
pub(crate) struct Ordered<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}
