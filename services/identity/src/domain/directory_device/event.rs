//! What happened to a directory device.

use muster_types::DeviceId;

use super::Record;

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The directory told of it, or said something new.
    Upserted(Record),
    /// More than one device may be it, or one that more than one directory device may be. None: the question is settled.
    MatchAmbiguous(Vec<DeviceId>),
    /// The directory no longer has it.
    Removed,
}
