//! Which of our devices is the one that a directory knows: by hardware, never by name.
//!
//! A match is only acted on when it is the only one both ways: one device for the record, and one record for the device.
//! Everything else is a question for an admin.

use muster_types::hardware::same_hardware;
use muster_types::{DeviceId, HardwareKey};

#[cfg(test)]
mod tests;

/// Most devices that a question to an admin names.
pub const CANDIDATES_MAX: usize = 64;

/// A device of the same hardware as a directory's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The device.
    pub device: DeviceId,
    /// Whether it has a full registration, be it this record's or another.
    pub full: bool,
}

/// What is to be done about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Nothing: no device is of this hardware, or each has a registration already.
    Settled,
    /// This device's synthetic registration becomes the record's.
    Promote(DeviceId),
    /// An admin must say which of these it is; in order, at most [`CANDIDATES_MAX`].
    Ambiguous(Vec<DeviceId>),
}

/// Whether two sets of keys are certainly of the same hardware: the strongest kind that both have is equal.
#[must_use]
pub fn same(a: &[HardwareKey], b: &[HardwareKey]) -> bool {
    same_hardware(a, b) == Some(true)
}

/// Says what is to be done about a record: `holder` has its registration, `candidates` are the devices of its hardware
/// that were not removed, and `rivals` tells whether other records that nobody holds are of that hardware too.
#[must_use]
pub fn settle(holder: Option<DeviceId>, candidates: &[Candidate], rivals: bool) -> Match {
    let open: Vec<_> = candidates
        .iter()
        .filter(|candidate| Some(candidate.device) != holder && !candidate.full)
        .map(|candidate| candidate.device)
        .collect();
    match (holder, &open[..]) {
        (_, []) => Match::Settled,
        (None, [only]) if candidates.len() == 1 && !rivals => Match::Promote(*only),
        _ => {
            let mut devices: Vec<_> =
                candidates.iter().map(|candidate| candidate.device).chain(holder).collect();
            devices.sort_unstable();
            devices.dedup();
            devices.truncate(CANDIDATES_MAX);
            Match::Ambiguous(devices)
        }
    }
}
