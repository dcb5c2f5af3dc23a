//! Rules that hold across settings of a profile, or across fields of an object.

use muster_types::{SettingId, SettingValue};

use crate::format::Format;

/// A setting means something only where another has one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependsOn {
    /// The other setting, of the same profile.
    pub setting: SettingId,
    /// The values, as our domain writes them.
    pub values: Vec<SettingValue>,
}

/// Something that must hold beyond the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// For people.
    pub words: String,
    /// For the check; `None` where it cannot tell, or the type already does.
    pub rule: Option<Rule>,
}

/// A rule of one setting or field. Others are named within the profile, or within the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The two exclude each other.
    NotWith {
        /// The other.
        other: String,
    },
    /// It means something only under a condition.
    Needs {
        /// The value that needs it; any, if `None`.
        own: Option<SettingValue>,
        /// The condition.
        condition: Condition,
    },
    /// It means something only beside others.
    Beside {
        /// The value that needs them; any, if `None`.
        own: Option<SettingValue>,
        /// The others, of which one is enough.
        any_of: Vec<String>,
    },
    /// A text must have a form.
    Form {
        /// The form.
        format: Format,
        /// Except under this condition.
        unless: Option<Condition>,
    },
}

/// Another setting or field has one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The other.
    pub other: String,
    /// The values, as our domain writes them.
    pub values: Vec<SettingValue>,
}
