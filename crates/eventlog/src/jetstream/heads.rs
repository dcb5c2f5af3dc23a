//! The last event of streams this process wrote or read, so that an append needs no read before it.

use muster_types::{Digest, StreamId, Version};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::Envelope;

/// Streams that are remembered at most; those not used for longest go first.
pub(super) const HEADS_MAX: usize = 200_000;

/// A stream's last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) version: Version,
    /// Sequence of its message in the JetStream stream.
    pub(super) sequence: u64,
    pub(super) hash: Digest,
}

impl From<&Envelope> for Head {
    fn from(event: &Envelope) -> Self {
        Self { version: event.version, sequence: event.position, hash: event.hash() }
    }
}

/// Heads in two generations: when the young one is full, it becomes the old one, and the old one goes.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: FxHashMap<StreamId, Head>,
    old: FxHashMap<StreamId, Head>,
}

impl Generations {
    fn insert(&mut self, stream: StreamId, head: Head) {
        if self.young.len() >= HEADS_MAX / 2 && !self.young.contains_key(&stream) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, head);
    }
}

impl Heads {
    pub(super) fn get(&self, stream: &StreamId) -> Option<Head> {
        let mut heads = self.0.lock();
        if let Some(head) = heads.young.get(stream) {
            return Some(*head);
        }
        let head = heads.old.remove(stream)?;
        heads.insert(*stream, head);
        Some(head)
    }

    /// Remembers a head, unless a later one is known.
    pub(super) fn put(&self, stream: StreamId, head: Head) {
        let mut heads = self.0.lock();
        let known = heads.young.get(&stream).or_else(|| heads.old.get(&stream));
        if known.is_none_or(|known| known.version < head.version) {
            heads.insert(stream, head);
        }
    }

    pub(super) fn forget(&self, stream: &StreamId) {
        let mut heads = self.0.lock();
        heads.young.remove(stream);
        heads.old.remove(stream);
    }
}

#[cfg(test)]
mod tests {
    use muster_types::{Aggregate, TenantId};
    use uuid::Uuid;

    use super::*;

    fn stream(number: usize) -> StreamId {
        StreamId::new(TenantId::DEFAULT, Aggregate::Group, Uuid::from_u128(number as u128))
    }

    fn head(version: u64) -> Head {
        Head { version: Version(version), ..Head::default() }
    }

    #[test]
    fn a_head_never_goes_back() {
        let heads = Heads::default();
        heads.put(stream(1), head(2));
        heads.put(stream(1), head(1));
        assert_eq!(heads.get(&stream(1)), Some(head(2)));
        heads.forget(&stream(1));
        assert_eq!(heads.get(&stream(1)), None);
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let heads = Heads::default();
        heads.put(stream(0), head(1));
        for number in 1..=HEADS_MAX {
            heads.put(stream(number), head(1));
            if number % 1_000 == 0 {
                assert_eq!(heads.get(&stream(0)), Some(head(1)));
            }
        }
        assert_eq!(heads.get(&stream(1)), None);
        let Generations { young, old } = &*heads.0.lock();
        assert!(young.len() + old.len() <= HEADS_MAX);
    }
}
