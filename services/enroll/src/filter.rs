//! Filters of lists: a subset of AIP-160.
//!
//! ```text
//! expression = sequence { "AND" sequence }
//! sequence   = factor { factor }                  neighbours are joined by AND
//! factor     = term { "OR" term }                 OR binds tighter than AND, as AIP-160 has it
//! term       = [ "NOT" | "-" ] ( "(" expression ")" | comparison )
//! comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) value
//! ```
//!
//! Values stand in quotes or are words. Names of values may be written without the contract's prefix. Texts are compared
//! without regard to small and capital letters, `*` in them stands for anything with `=` and `!=`, and `:` looks for a
//! part; `tags:"pilot"` asks for a tag, `tags:*` for any. Versions are ordered number by number, times by the second.

mod fields;
mod parse;
mod plan;
#[cfg(test)]
mod tests;

use std::fmt;

pub use parse::{DEPTH_MAX, FILTER_BYTES_MAX};
pub use plan::Plan;

/// A filter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFilter {
    /// Where, in characters from 0.
    pub offset: usize,
    /// What is wrong there.
    pub problem: String,
    /// What would be right, where that can be guessed.
    pub hint: Option<String>,
}

impl InvalidFilter {
    /// Something is wrong at a byte of a text.
    fn new(text: &str, at: usize, problem: impl Into<String>) -> Self {
        let offset = text.char_indices().take_while(|(byte, _)| *byte < at).count();
        Self { offset, problem: problem.into(), hint: None }
    }

    fn or_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, problem, hint } = self;
        write!(f, "at {offset}: {problem}")?;
        hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for InvalidFilter {}

/// Reads a filter.
///
/// # Errors
/// [`InvalidFilter`] when it does not parse, names a field that cannot be filtered by, or compares it with what it cannot
/// be.
pub fn plan(text: &str) -> Result<Plan, InvalidFilter> {
    Ok(Plan::of(typed(text)?))
}

fn typed(text: &str) -> Result<parse::Expr<fields::Test>, InvalidFilter> {
    let written = parse::parse(text)?;
    written.try_flat_map(&mut |written| fields::test(text, written))
}

/// The nearest of some names, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(nearness, _)| *nearness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
