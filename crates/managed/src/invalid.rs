//! Configurations that cannot be read.

use std::fmt;

use crate::FILE_BYTES_MAX;

/// Longest message, in characters: it may quote the file.
const MESSAGE_CHARS_MAX: usize = 300;

/// A configuration cannot be read, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong.
    pub message: String,
    /// Where, if that is known: line and column, from 1.
    pub position: Option<(usize, usize)>,
}

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into().chars().take(MESSAGE_CHARS_MAX).collect(), position: None }
    }

    /// At so many bytes from the beginning of a text.
    pub(crate) fn at(message: impl Into<String>, bytes: &[u8], offset: usize) -> Self {
        let before = bytes.get(..offset).unwrap_or(bytes);
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        Self { position: Some((line, column)), ..Self::new(message) }
    }
}

impl From<serde_json::Error> for Invalid {
    fn from(error: serde_json::Error) -> Self {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let position = (error.line() > 0).then(|| (error.line(), error.column()));
        Self { position, ..Self::new(format!("not strict JSON: {message}")) }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Invalid {}

/// Refuses what is too large.
pub(crate) fn check_size(bytes: &[u8]) -> Result<(), Invalid> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Invalid::new(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// The text that the bytes are.
pub(crate) fn check_text(bytes: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(bytes).map_err(|error| Invalid::at("not UTF-8", bytes, error.valid_up_to()))
}
