//! What is wrong with a rule, and where.

use std::fmt;
use std::ops::Range;

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It does not parse, or a regular expression in it does not.
    Syntax,
    /// There is no such property of devices.
    UnknownProperty,
    /// The operator or the value does not go with the property.
    OperatorType,
    /// Longer than a rule may be.
    TooLong,
    /// A property of users in a rule for devices.
    MixedObject,
    /// `memberOf` together with something else.
    Combination,
}

impl ErrorKind {
    /// The kind as users see it, for example `unknown_property`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownProperty => "unknown_property",
            Self::OperatorType => "operator_type",
            Self::TooLong => "too_long",
            Self::MixedObject => "mixed_object",
            Self::Combination => "combination",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {offset}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct RuleError {
    /// What kind of mistake it is.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// Where it begins, in characters from 0.
    pub offset: usize,
    /// How many characters it is about; 0 at a place where something is missing.
    pub length: usize,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// A mistake at a place in bytes, as parsing finds it.
#[derive(Debug, Clone)]
pub(super) struct Mistake {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    pub(super) at: Range<usize>,
    pub(super) hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(kind: ErrorKind, at: Range<usize>, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), at, hint: None }
    }

    pub(super) fn syntax(at: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Syntax, at, message)
    }

    pub(super) fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The mistake as users see it, with its place in characters.
    pub(super) fn in_text(self, text: &str) -> RuleError {
        let Self { kind, message, at, hint } = self;
        let offset = text[..at.start].chars().count();
        let length = text[at].chars().count();
        RuleError { kind, message, offset, length, hint }
    }
}

/// The name nearest to what was written, if one is near enough to be meant.
pub(super) fn meant<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let written = written.to_lowercase();
    let near = names.map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), name)).min()?;
    let (distance, name) = near;
    (distance <= 1 + name.len() / 4).then(|| format!("did you mean {name}?"))
}
