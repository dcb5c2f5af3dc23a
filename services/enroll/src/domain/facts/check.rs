//! The bounds of facts.

use muster_types::hardware::HARDWARE_KEYS_MAX;

use super::{DeviceFacts, SecurityProduct};
use crate::domain::tags::check_tag;

/// Longest text in the facts, in bytes.
pub const TEXT_BYTES_MAX: usize = 255;
/// Most security products that facts may name.
pub const SECURITY_PRODUCTS_MAX: usize = 64;
/// Most installed updates that facts may name.
pub const INSTALLED_UPDATES_MAX: usize = 512;
/// Most tags that a device may set on itself.
pub const DEVICE_TAGS_MAX: usize = 32;

/// Facts out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidFacts {
    /// Which field, as the contract names it.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl InvalidFacts {
    fn of(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl DeviceFacts {
    /// Checks lengths, counts and forms.
    ///
    /// # Errors
    /// [`InvalidFacts`] naming the first field that is out of bounds.
    pub fn check(&self) -> Result<(), InvalidFacts> {
        let texts = [
            ("hostname", Some(&self.hostname)),
            ("os_id", Some(&self.os_id)),
            ("os_version", Some(&self.os_version)),
            ("os_name", Some(&self.os_name)),
            ("kernel_release", Some(&self.kernel_release)),
            ("architecture", Some(&self.architecture)),
            ("agent_version", Some(&self.agent_version)),
            ("board_vendor", self.board_vendor.as_ref()),
            ("product_name", self.product_name.as_ref()),
            ("edition", self.edition.as_ref()),
            ("os_build", self.os_build.as_ref()),
            ("mdm.name", self.mdm.as_ref().map(|mdm| &mdm.name)),
        ];
        for (field, text) in texts {
            text.map_or(Ok(()), |text| check_text(field, text))?;
        }
        self.check_products()?;
        check_count("installed_updates", self.installed_updates.len(), INSTALLED_UPDATES_MAX)?;
        for (i, update) in self.installed_updates.iter().enumerate() {
            if knowledge_base_number(update).is_none() {
                let problem = "must be KB and 6 to 8 digits, for example KB5023773";
                return Err(InvalidFacts::of(format!("installed_updates[{i}]"), problem));
            }
        }
        check_count("device_tags", self.device_tags.len(), DEVICE_TAGS_MAX)?;
        for (i, tag) in self.device_tags.iter().enumerate() {
            check_tag(tag)
                .map_err(|invalid| InvalidFacts::of(format!("device_tags[{i}]"), invalid.to_string()))?;
        }
        check_count("hardware_keys", self.hardware_keys.len(), HARDWARE_KEYS_MAX)
    }

    fn check_products(&self) -> Result<(), InvalidFacts> {
        check_count("security_products", self.security_products.len(), SECURITY_PRODUCTS_MAX)?;
        for (i, SecurityProduct { id, version }) in self.security_products.iter().enumerate() {
            let field = |name| format!("security_products[{i}].{name}");
            if id.is_empty() {
                return Err(InvalidFacts::of(field("id"), "must not be empty"));
            }
            check_text(&field("id"), id)?;
            check_text(&field("version"), version)?;
        }
        Ok(())
    }
}

/// The number of a knowledge base id, for example 5023773 of `KB5023773`.
pub(crate) fn knowledge_base_number(update: &str) -> Option<u32> {
    let digits = update.strip_prefix("KB")?;
    let form = (6..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if form { digits.parse().ok() } else { None }
}

fn check_count(field: &str, found: usize, max: usize) -> Result<(), InvalidFacts> {
    if found <= max {
        return Ok(());
    }
    Err(InvalidFacts::of(field, format!("holds {found}, the limit is {max}")))
}

fn check_text(field: &str, text: &str) -> Result<(), InvalidFacts> {
    let problem = if text.len() > TEXT_BYTES_MAX {
        format!("is {} bytes long, the limit is {TEXT_BYTES_MAX}", text.len())
    } else if text.chars().any(char::is_control) {
        "must not hold control characters".into()
    } else {
        return Ok(());
    };
    Err(InvalidFacts::of(field, problem))
}
