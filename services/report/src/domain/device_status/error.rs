//! Why a report is refused.

/// A report that is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Error {
    /// Path of the field, for example `settings[3].message`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Error {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}
