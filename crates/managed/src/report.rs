//! What became of the keys of a configuration that were not taken over as they were.

use muster_types::SettingId;
use serde::Serialize;

/// Most findings about one configuration; one with more is none of the product.
pub const FINDINGS_MAX: usize = 10_000;

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not taken over.
    LeftOut,
    /// It was taken over in another form.
    Changed,
    /// It was taken over as it is, and is worth a look.
    Noted,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The product has no such key.
    UnknownKey,
    /// The key is the product's, but no policy can set it on this channel.
    NotOnChannel,
    /// The value is of a type that the setting does not have.
    WrongType,
    /// The value is outside what the setting allows.
    OutOfRange,
    /// The value contradicts another setting.
    Inconsistent,
    /// The key stands twice in one object: the last counts.
    RepeatedKey,
    /// The item stands in its list already.
    RepeatedItem,
    /// The list is full.
    TooManyItems,
    /// The field means nothing for items of this type.
    UnusedField,
    /// Another payload sets the same.
    SetTwice,
    /// The payload, or domain, is none of the product.
    OtherPayload,

    /// `"true"` where `true` belongs.
    TextForBoolean,
    /// `1` where `true` belongs.
    NumberForBoolean,
    /// `true` where a word such as `enabled` belongs.
    BooleanForWord,
    /// `"2"` where `2` belongs.
    TextForNumber,
    /// `2.0` where `2` belongs.
    RealForInteger,
    /// A text where a list of texts belongs.
    TextForList,
    /// Several items in one text, with commas between.
    CommaJoined,
    /// The word is known with other capitals.
    LetterCase,
    /// An exclusion of scope `epp` alone, moved to the exclusions of the antivirus engine.
    ExclusionMoved,

    /// An exclusion names no scopes: it counts as global.
    ScopesMissing,
    /// An exclusion does not say whether its path is a folder.
    DirectoryUnclear,
    /// A global exclusion of a form that the product does not honour.
    GlobalExclusionForm,
    /// The value is marked as an example of the vendor's.
    ExampleValue,
    /// Only devices in an MDM are given the setting.
    MdmOnly,
    /// The setting should no longer be used.
    Deprecated,
    /// Keys of the profile around the settings, which say nothing about them.
    ProfileEnvelope,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 27] = [
        Self::UnknownKey,
        Self::NotOnChannel,
        Self::WrongType,
        Self::OutOfRange,
        Self::Inconsistent,
        Self::RepeatedKey,
        Self::RepeatedItem,
        Self::TooManyItems,
        Self::UnusedField,
        Self::SetTwice,
        Self::OtherPayload,
        Self::TextForBoolean,
        Self::NumberForBoolean,
        Self::BooleanForWord,
        Self::TextForNumber,
        Self::RealForInteger,
        Self::TextForList,
        Self::CommaJoined,
        Self::LetterCase,
        Self::ExclusionMoved,
        Self::ScopesMissing,
        Self::DirectoryUnclear,
        Self::GlobalExclusionForm,
        Self::ExampleValue,
        Self::MdmOnly,
        Self::Deprecated,
        Self::ProfileEnvelope,
    ];

    /// What becomes of a key for this reason.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::UnknownKey
            | Self::NotOnChannel
            | Self::WrongType
            | Self::OutOfRange
            | Self::Inconsistent
            | Self::RepeatedKey
            | Self::RepeatedItem
            | Self::TooManyItems
            | Self::UnusedField
            | Self::SetTwice
            | Self::OtherPayload => Outcome::LeftOut,
            Self::TextForBoolean
            | Self::NumberForBoolean
            | Self::BooleanForWord
            | Self::TextForNumber
            | Self::RealForInteger
            | Self::TextForList
            | Self::CommaJoined
            | Self::LetterCase
            | Self::ExclusionMoved => Outcome::Changed,
            Self::ScopesMissing
            | Self::DirectoryUnclear
            | Self::GlobalExclusionForm
            | Self::ExampleValue
            | Self::MdmOnly
            | Self::Deprecated
            | Self::ProfileEnvelope => Outcome::Noted,
        }
    }
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it stands; empty for the whole.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The setting it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<SettingId>,
    /// The same for people.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(path: &(impl ToString + ?Sized), reason: Reason, message: impl Into<String>) -> Self {
        Self {
            path: path.to_string(),
            outcome: reason.outcome(),
            reason,
            setting: None,
            message: message.into(),
        }
    }

    pub(crate) fn about(self, setting: &SettingId) -> Self {
        Self { setting: Some(setting.clone()), ..self }
    }
}
