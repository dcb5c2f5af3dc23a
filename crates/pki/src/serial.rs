//! Serial numbers of certificates. They tell when a certificate was issued, so that a revocation need not list what it
//! ends: "all that were issued until then".
//!
//! 16 bytes: the moment of issue in microseconds since 1970 (8 bytes, big-endian, top bit 0), then 8 random bytes.

use muster_types::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a serial number. In DER it may be shorter: leading zero bytes are dropped there.
pub const SERIAL_BYTES: usize = 16;

/// Moments from here on, the year 10,000, are none: such a serial number was made by other rules.
const ISSUED_AT_END: i64 = 253_402_300_800_000_000;

/// Makes a serial number for a certificate that is issued at that moment; `None` when the machine gives no random
/// numbers. A moment before 1970 becomes 1970.
pub(crate) fn create(issued_at: Timestamp) -> Option<[u8; SERIAL_BYTES]> {
    let mut serial = [0; SERIAL_BYTES];
    let (time, random) = serial.split_at_mut(SERIAL_BYTES / 2);
    time.copy_from_slice(&issued_at.micros().max(0).to_be_bytes());
    SystemRandom::new().fill(random).ok()?;
    Some(serial)
}

/// When the certificate with this serial number was issued; `None` when the number does not tell. Takes the number with
/// its leading zero bytes or without.
#[must_use]
pub fn issued_at(serial: &[u8]) -> Option<Timestamp> {
    let padded = padded(serial)?;
    let micros = i64::from_be_bytes(padded[..SERIAL_BYTES / 2].try_into().ok()?);
    (1..ISSUED_AT_END).contains(&micros).then_some(Timestamp::from_micros(micros))
}

/// The number with its leading zero bytes; `None` when it is too long to be of ours.
pub(crate) fn padded(serial: &[u8]) -> Option<[u8; SERIAL_BYTES]> {
    let start = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    let digits = &serial[start..];
    let mut padded = [0; SERIAL_BYTES];
    padded.get_mut(SERIAL_BYTES.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_tells_when_it_was_issued() {
        let now = Timestamp::from_micros(1_790_000_000_123_456);
        let (first, second) = (create(now).unwrap(), create(now).unwrap());
        assert_ne!(first, second);
        assert_eq!(issued_at(&first), Some(now));
        assert_eq!(issued_at(&first[1..]), Some(now), "without its leading zero byte");
        assert!(create(now.plus(std::time::Duration::from_micros(1))).unwrap() > first);
    }

    #[test]
    fn a_number_by_other_rules_tells_nothing() {
        assert_eq!(issued_at(&[]), None);
        assert_eq!(issued_at(&[7; 8]), None);
        assert_eq!(issued_at(&[0x40; 16]), None);
        assert_eq!(issued_at(&[0xff; 16]), None);
        assert_eq!(issued_at(&[1; 20]), None);
        assert_eq!(issued_at(&create(Timestamp::from_micros(-5)).unwrap()), None);
    }
}
