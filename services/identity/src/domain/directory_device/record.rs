//! What a directory says of a device.

use std::collections::BTreeMap;

use muster_types::HardwareKey;
use muster_types::hardware::HARDWARE_KEYS_MAX;

/// Longest id in the directory, in characters.
pub const DIRECTORY_ID_CHARS_MAX: usize = 128;
/// Longest name for people, attribute name or attribute, in characters.
pub const ATTRIBUTE_CHARS_MAX: usize = 256;
/// Most attributes.
pub const ATTRIBUTES_MAX: usize = 64;
/// What directories call join types; empty when one says none.
pub const JOIN_TYPES: [&str; 4] = ["AzureAD", "ServerAD", "Workplace", ""];

/// What a directory says of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Id in the directory.
    pub directory_id: Box<str>,
    /// Name for people; never matched by.
    pub display_name: Box<str>,
    /// Join type as the directory calls it.
    pub join_type: Box<str>,
    /// By what the device's hardware is recognised; in order, each once.
    pub hardware_keys: Box<[HardwareKey]>,
    /// Further attributes by name.
    pub attributes: BTreeMap<Box<str>, Box<str>>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The directory's id is none.
    #[error("directory_id: expected 1 to 128 characters, none of them a blank or a control character")]
    DirectoryId,
    /// The name is too long or has control characters.
    #[error("display_name: expected at most 256 characters, none of them a control character")]
    DisplayName,
    /// No join type.
    #[error("join_type: expected AzureAD, ServerAD, Workplace or nothing")]
    JoinType,
    /// Too many hardware keys.
    #[error("hardware_keys: found {found}, the limit is {HARDWARE_KEYS_MAX}")]
    HardwareKeys {
        /// How many.
        found: usize,
    },
    /// Too many attributes.
    #[error("attributes: found {found}, the limit is {ATTRIBUTES_MAX}")]
    Attributes {
        /// How many.
        found: usize,
    },
    /// An attribute or its name is too long or has control characters.
    #[error(
        "attributes: expected names and values of at most 256 characters, none of them a control character"
    )]
    Attribute,
}

impl Record {
    /// Checks that everything is within its limits.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), RecordError> {
        let Self { directory_id, display_name, join_type, hardware_keys, attributes } = self;
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if !(1..=DIRECTORY_ID_CHARS_MAX).contains(&directory_id.chars().count())
            || directory_id.chars().any(blank)
        {
            return Err(RecordError::DirectoryId);
        }
        if !is_text(display_name) {
            return Err(RecordError::DisplayName);
        }
        if !JOIN_TYPES.contains(&&**join_type) {
            return Err(RecordError::JoinType);
        }
        if hardware_keys.len() > HARDWARE_KEYS_MAX {
            return Err(RecordError::HardwareKeys { found: hardware_keys.len() });
        }
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(RecordError::Attributes { found: attributes.len() });
        }
        let mut texts =
            attributes.iter().map(|(name, value)| !name.is_empty() && is_text(name) && is_text(value));
        if texts.all(|sound| sound) { Ok(()) } else { Err(RecordError::Attribute) }
    }

    /// What a registration by this directory device is known by.
    #[must_use]
    pub fn registration(&self) -> String {
        registration(&self.directory_id)
    }
}

/// What a registration by a directory is known by, from the directory's id. Directories do not tell ids apart by case, and
/// certificates write them otherwise than feeds: they are compared in lower case.
#[must_use]
pub fn registration(directory_id: &str) -> String {
    format!("directory:{}", directory_id.to_lowercase())
}

fn is_text(text: &str) -> bool {
    text.chars().count() <= ATTRIBUTE_CHARS_MAX && !text.chars().any(char::is_control)
}
