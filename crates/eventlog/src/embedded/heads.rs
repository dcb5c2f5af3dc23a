//! What the writer knows of streams it met: enough to check an expected version and to link the next event.

use muster_types::{Digest, StreamId, Version};
use rustc_hash::FxHashMap;

/// Streams in each of the two generations; about 130 bytes each.
const GENERATION_MAX: usize = 131_072;

/// End of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// Version of its last event.
    pub(super) version: Version,
    /// Hash of its last event; zeros when there is none.
    pub(super) hash: Digest,
}

/// The ends of the streams met last. Streams not met during a whole generation are forgotten, and read again.
#[derive(Debug, Default)]
pub(super) struct Heads {
    young: FxHashMap<StreamId, Head>,
    old: FxHashMap<StreamId, Head>,
}

impl Heads {
    pub(super) fn get(&self, stream: StreamId) -> Option<Head> {
        self.young.get(&stream).or_else(|| self.old.get(&stream)).copied()
    }

    pub(super) fn set(&mut self, stream: StreamId, head: Head) {
        if self.young.len() >= GENERATION_MAX && !self.young.contains_key(&stream) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, head);
    }
}
