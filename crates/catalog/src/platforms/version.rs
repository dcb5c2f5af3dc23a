//! Versions, as far as they can be compared.

use std::fmt;

/// Most numbers of a version that are read.
const NUMBERS_MAX: usize = 4;

/// The leading numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumbers {
    numbers: [u32; NUMBERS_MAX],
    length: u8,
}

impl VersionNumbers {
    /// The version that every version reaches.
    pub const ZERO: Self = Self { numbers: [0; NUMBERS_MAX], length: 1 };

    /// Reads the leading numbers of a text such as `101.23052.0009`, `12` or `11.4-rc1`; `None` when it does not begin
    /// with one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut version = Self { numbers: [0; NUMBERS_MAX], length: 0 };
        for (slot, part) in version.numbers.iter_mut().zip(text.trim().split('.')) {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let Ok(number) = part[..digits].parse() else { break };
            *slot = number;
            version.length += 1;
            if digits < part.len() {
                break;
            }
        }
        (version.length > 0).then_some(version)
    }

    /// Whether this version is `minimum` or later, number by number, as far as both say them: CentOS calls itself `7`,
    /// which reaches `7.2`.
    #[must_use]
    pub fn reaches(&self, minimum: &Self) -> bool {
        let said = usize::from(self.length.min(minimum.length));
        self.numbers[..said] >= minimum.numbers[..said]
    }
}

impl fmt::Display for VersionNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, number) in self.numbers[..usize::from(self.length)].iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}
