//! What may be asked of a directory device.

use muster_types::DeviceId;

use super::Record;

/// A wish that the rules may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take over what the directory says.
    Upsert(Record),
    /// Note which devices may be it, when an admin must say which; none when no question is open.
    Match(Vec<DeviceId>),
    /// Forget it.
    Remove,
}
