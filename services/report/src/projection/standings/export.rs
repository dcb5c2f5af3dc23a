//! A picture of a policy's devices, from which rows are made without the view's lock.

use crate::domain::standing::PolicyDevice;

/// Devices of a policy that fit a filter, as they stood when it was taken. Cheap to clone; send it to the task that writes.
#[derive(Debug, Clone)]
pub struct Export {
    /// The policy's name for people.
    pub display_name: String,
    /// Id of its profile in the catalogue.
    pub profile: String,
    /// Its latest revision.
    pub revision: u64,
}

impl Export {
    /// How many rows there are altogether.
    #[must_use]
    pub fn total(&self) -> u64 {
        0
    }

    /// Whether there are rows after the one of an ordinal.
    #[must_use]
    pub fn is_more(&self, _after: u32) -> bool {
        false
    }

    /// The rows by ordinal, from the one after `after` on; made one at a time as they are asked for.
    pub fn rows(&self, _after: Option<u32>) -> impl Iterator<Item = PolicyDevice> + Send + '_ {
        std::iter::empty()
    }
}
