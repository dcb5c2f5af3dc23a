//! What values a setting takes.

use std::fmt;

use muster_types::SettingValue;
use serde::Deserialize;

use crate::format::Format;
use crate::model::Constraint;

/// Most items of a list setting that names no limit of its own.
pub const ITEMS_MAX: u32 = 2_000;
/// Most characters of a text that names no limit of its own.
pub const TEXT_CHARS_MAX: u32 = 16_384;

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
    /// What whoever chooses it should know.
    pub note: Option<String>,
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
    /// An expression it must match.
    pub pattern: Option<Pattern>,
    /// A form it must have.
    pub format: Option<Format>,
    /// Items that have a name; the name is what stands in our domain.
    pub values: Vec<EnumValue>,
    /// Whether other items than the named are allowed.
    pub open: bool,
    /// Whether the named are known by their wire text in any letter case.
    pub ignore_case: bool,
    /// The item that stands alone in a list if it stands there at all.
    pub alone: Option<String>,
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
    /// What holds where the field is not there; `None` where nothing does, or sources disagree.
    pub default: Option<SettingValue>,
    /// Whether it must be there (where it is used at all).
    pub required: bool,
    /// Whether it should be there, because nobody can be sure of what holds without it.
    pub recommended: bool,
    /// When it is used; always, if `None`.
    pub used_when: Option<UsedWhen>,
    /// Rules across the fields of the object.
    pub constraints: Vec<Constraint>,
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
