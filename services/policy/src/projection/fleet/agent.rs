//! The version of a device's security product, in few bytes.

use std::fmt;

/// Most numbers of a version that matter.
const NUMBERS_MAX: usize = 4;

/// The leading numbers of a version; none while it is unknown. Numbers beyond 65,535 count as that.
///
/// The version is kept, and not what of the catalogue it reaches: another catalogue has other thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentVersion {
    numbers: [u16; NUMBERS_MAX],
    length: u8,
}

impl AgentVersion {
    /// Reads the leading numbers of a text such as `101.24092.0002`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut version = Self::default();
        for (place, part) in text.trim().split('.').take(NUMBERS_MAX).enumerate() {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            if digits == 0 {
                break;
            }
            version.numbers[place] = part[..digits].parse().unwrap_or(u16::MAX);
            version.length += 1;
            if digits < part.len() {
                break;
            }
        }
        version
    }

    /// The numbers as text; `None` while the version is unknown.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        (self.length > 0).then(|| self.to_string())
    }
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, number) in self.numbers.iter().take(usize::from(self.length)).enumerate() {
            let dot = if place == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leading_numbers_of_a_version_are_kept() {
        for (text, kept) in [
            ("101.24092.0002", Some("101.24092.2")),
            ("4.18.25010.11", Some("4.18.25010.11")),
            ("12", Some("12")),
            ("11.4-rc1", Some("11.4")),
            ("1.70000.3.4.5", Some("1.65535.3.4")),
            ("beta", None),
            ("", None),
        ] {
            assert_eq!(AgentVersion::read(text).text().as_deref(), kept, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["101.24092.2", "12", "1.2.3.65535", ""] {
            let version = AgentVersion::read(text);
            assert_eq!(AgentVersion::read(&version.to_string()), version);
        }
    }
}
