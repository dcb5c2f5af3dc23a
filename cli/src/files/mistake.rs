//! What is wrong with files, and where.

use std::fmt;
use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use serde_json::{Value, json};

/// Most mistakes told at once; a set that has more is told how many there are.
pub const MISTAKES_MAX: usize = 100;
/// Most warnings told at once.
pub const WARNINGS_MAX: usize = 100;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named, or `-` for standard input.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl Place {
    /// The beginning of a file.
    #[must_use]
    pub fn start(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), line: 1, column: 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{file}:{line}:{column}")
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What kind of mistake.
    pub code: ErrorCode,
    /// Where.
    pub place: Place,
    /// What is wrong and what would be right, as a fragment.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, place, message } = self;
        write!(f, "{place}: error[{code}]: {message}")
    }
}

/// Something that is right and perhaps not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What to know of it, as a fragment.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, message } = self;
        write!(f, "{place}: warning: {message}")
    }
}

/// Everything that was found, up to a limit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    mistakes: Vec<Mistake>,
    warnings: Vec<Warning>,
    mistake_count: usize,
    warning_count: usize,
}

impl Findings {
    /// Notes a mistake.
    pub fn mistake(&mut self, code: ErrorCode, place: Place, message: impl Into<String>) {
        self.mistake_count += 1;
        if self.mistakes.len() < MISTAKES_MAX {
            let at = self.mistakes.partition_point(|before| before.place <= place);
            self.mistakes.insert(at, Mistake { code, place, message: message.into() });
        }
    }

    /// Notes a warning.
    pub fn warning(&mut self, place: Place, message: impl Into<String>) {
        self.warning_count += 1;
        if self.warnings.len() < WARNINGS_MAX {
            let at = self.warnings.partition_point(|before| before.place <= place);
            self.warnings.insert(at, Warning { place, message: message.into() });
        }
    }

    /// The mistakes, by file and place.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The warnings, by file and place.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// How many mistakes there are, those not told included.
    #[must_use]
    pub const fn mistake_count(&self) -> usize {
        self.mistake_count
    }

    /// Whether a further mistake would not be told.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.mistake_count >= MISTAKES_MAX
    }

    /// A line for each, as compilers write them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.mistakes.iter().map(ToString::to_string).collect();
        if let Some(more @ 1..) = self.mistake_count.checked_sub(self.mistakes.len()) {
            lines.push(format!("… and {more} more mistakes"));
        }
        lines.extend(self.warnings.iter().map(ToString::to_string));
        if let Some(more @ 1..) = self.warning_count.checked_sub(self.warnings.len()) {
            lines.push(format!("… and {more} more warnings"));
        }
        lines
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { mistakes, warnings, mistake_count, warning_count } = self;
        let at = |place: &Place| json!({"file": &*place.file, "line": place.line, "column": place.column});
        let with = |mut item: Value, key: &str, value: Value| {
            item[key] = value;
            item
        };
        let mistake = |Mistake { code, place, message }: &Mistake| {
            with(with(at(place), "code", json!(code.as_str())), "message", json!(message))
        };
        let warning = |Warning { place, message }: &Warning| with(at(place), "message", json!(message));
        json!({
            "mistakes": mistakes.iter().map(mistake).collect::<Vec<_>>(),
            "warnings": warnings.iter().map(warning).collect::<Vec<_>>(),
            "mistake_count": mistake_count,
            "warning_count": warning_count,
        })
    }

    /// Nothing when there is no mistake.
    ///
    /// # Errors
    /// The mistake, or `FILE_INVALID` when there are several of different kinds.
    pub fn settle(&self) -> Result<(), Fault> {
        let Some(first) = self.mistakes.first() else { return Ok(()) };
        let same = self.mistakes.iter().all(|mistake| mistake.code == first.code);
        let code = if same { first.code } else { ErrorCode::FileInvalid };
        let message = match self.mistake_count {
            1 => format!("{}: {}", first.place, first.message),
            count => {
                format!("{count} mistakes in the files; the first at {}: {}", first.place, first.message)
            }
        };
        let fault = Fault::new(code, message);
        Err(self.mistakes.iter().fold(fault, |fault, mistake| {
            fault.with_field(mistake.place.to_string(), mistake.message.clone())
        }))
    }
}
