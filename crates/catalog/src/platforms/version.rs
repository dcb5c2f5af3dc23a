//! Versions, as far as they can be compared.

use std::fmt;

/// Most numbers of a version that are read.
const NUMBERS_MAX: usize = 4;

/// The leading numbers of a version, written as they were read: `16.04` keeps its zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumbers {
    numbers: [u32; NUMBERS_MAX],
    length: u8,
    widths: [u8; NUMBERS_MAX],
}

impl VersionNumbers {
    /// The version that every version reaches.
    pub const ZERO: Self = Self { numbers: [0; NUMBERS_MAX], length: 1, widths: [1; NUMBERS_MAX] };

    /// Reads the leading numbers of a text such as `101.23052.0009`, `12` or `11.4-rc1`; `None` when it does not begin
    /// with one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut version = Self { numbers: [0; NUMBERS_MAX], length: 0, widths: [0; NUMBERS_MAX] };
        for (i, part) in text.trim().split('.').take(NUMBERS_MAX).enumerate() {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let Ok(number) = part[..digits].parse() else { break };
            version.numbers[i] = number;
            version.widths[i] = u8::try_from(digits).unwrap_or(u8::MAX);
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
        let said = self.numbers.iter().zip(self.widths).take(usize::from(self.length));
        for (i, (number, width)) in said.enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{number:0width$}", width = usize::from(width))?;
        }
        Ok(())
    }
}
