//! When devices were last seen, by ordinal: four bytes each, since one event tells it of a whole fleet.

use std::collections::BTreeMap;

use muster_types::Timestamp;
use roaring::RoaringBitmap;

/// Ordinals that share a row of the store.
pub(super) const BLOCK: u32 = 1_024;

/// Seconds since 1970 by ordinal; 0 for never.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<u32, Box<[u32; BLOCK as usize]>>);

impl Seen {
    /// Notes that devices were seen, and tells which blocks changed.
    pub(super) fn note(&mut self, ordinals: &RoaringBitmap, at: Timestamp) -> Vec<u32> {
        let (at, mut changed) = (seconds(at), Vec::new());
        if at == 0 {
            return changed;
        }
        let mut ordinals = ordinals.iter().peekable();
        while let Some(first) = ordinals.peek() {
            let block = first / BLOCK;
            let times = self.0.entry(block).or_insert_with(|| Box::new([0; BLOCK as usize]));
            let mut later = false;
            while let Some(ordinal) = ordinals.next_if(|ordinal| ordinal / BLOCK == block) {
                let seen = &mut times[(ordinal % BLOCK) as usize];
                later |= *seen < at;
                *seen = at.max(*seen);
            }
            if later {
                changed.push(block);
            }
        }
        changed
    }

    /// When a device was last seen, in seconds; 0 for never.
    pub(super) fn at(&self, ordinal: u32) -> u32 {
        self.0.get(&(ordinal / BLOCK)).map_or(0, |block| block[(ordinal % BLOCK) as usize])
    }

    /// The blocks that there are.
    pub(super) fn blocks(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// A block as stored.
    pub(super) fn encode(&self, block: u32) -> Option<Vec<u8>> {
        Some(self.0.get(&block)?.iter().flat_map(|seconds| seconds.to_be_bytes()).collect())
    }

    /// Takes back a stored block.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn load(&mut self, block: u32, value: &[u8]) -> Result<(), String> {
        let (times, rest) = value.as_chunks::<4>();
        let times: Vec<u32> = times.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        match (Box::<[u32; BLOCK as usize]>::try_from(times.into_boxed_slice()), rest) {
            (Ok(times), []) => {
                self.0.insert(block, times);
                Ok(())
            }
            _ => Err(format!("a block of {} bytes", value.len())),
        }
    }
}

/// Whole seconds since 1970, which last until 2106.
pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.seconds_and_nanos().0.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_stays_and_only_what_changed_is_told() {
        let mut seen = Seen::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let ordinals: RoaringBitmap = [0, 5, 3_000].into_iter().collect();
        assert_eq!(seen.note(&ordinals, at(10)), [0, 2]);
        assert_eq!(seen.note(&ordinals, at(9)), Vec::<u32>::new());
        assert_eq!((seen.at(5), seen.at(6), seen.at(9_999)), (10, 0, 0));

        let mut again = Seen::default();
        for block in seen.blocks() {
            again.load(block, &seen.encode(block).unwrap()).unwrap();
        }
        assert_eq!(again.0, seen.0);
        assert!(again.load(0, &[1, 2, 3]).is_err());
    }
}
