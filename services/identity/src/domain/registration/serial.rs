//! Serial numbers of certificates.

use std::fmt;

use muster_types::Timestamp;

/// Bytes of a serial number.
const SERIAL_BYTES: usize = 16;

/// Serial number of a certificate: the moment of its issue, then random bytes. A later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Serial([u8; SERIAL_BYTES]);

impl Serial {
    /// A number as it stands in a certificate or an event, big-endian, with leading zero bytes or without; `None` when it
    /// is longer than any of ours.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let digits = &bytes[start..];
        let mut padded = [0; SERIAL_BYTES];
        padded[SERIAL_BYTES.checked_sub(digits.len())?..].copy_from_slice(digits);
        Some(Self(padded))
    }

    /// The number, big-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SERIAL_BYTES] {
        &self.0
    }

    /// The moment of issue as it stands in the number: the order in which certificates end others. The epoch when the
    /// number was made by other rules and does not tell.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        muster_pki::serial::issued_at(&self.0).unwrap_or_default()
    }
}

/// In hexadecimal.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
