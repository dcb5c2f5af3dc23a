//! Which devices were mentioned where, and as what.

use roaring::RoaringBitmap;

/// Most ordinals that are kept one by one; more are kept as a bitmap.
const SINGLES_MAX: u64 = 16;

/// Mentions of devices, in the order of a log. Each says one thing of its devices: its tag.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// Of single devices: where, whom, as what.
    positions: Vec<u64>,
    ordinals: Vec<u32>,
    tags: Vec<u32>,
    bulk: Vec<Bulk>,
    bulk_bytes: usize,
}

#[derive(Debug)]
struct Bulk {
    position: u64,
    tag: u32,
    ordinals: RoaringBitmap,
}

impl Mentions {
    /// Notes a mention. Positions do not go down; an event mentions a device once.
    pub(super) fn add(&mut self, position: u64, tag: u32, mut ordinals: RoaringBitmap) {
        if ordinals.len() <= SINGLES_MAX {
            for ordinal in ordinals {
                self.positions.push(position);
                self.ordinals.push(ordinal);
                self.tags.push(tag);
            }
            return;
        }
        ordinals.optimize();
        self.bulk_bytes += ordinals.serialized_size();
        self.bulk.push(Bulk { position, tag, ordinals });
    }

    /// The last mention of a device up to a position, of those with a wanted tag: where, and as what.
    pub(super) fn last(&self, ordinal: u32, until: u64, wanted: impl Fn(u32) -> bool) -> Option<(u64, u32)> {
        let singles = self.positions.partition_point(|position| *position <= until);
        let places = self.ordinals[..singles].iter().enumerate().rev();
        let mut of_device = places.filter(|(_, other)| **other == ordinal).map(|(place, _)| place);
        let single = of_device.find(|place| wanted(self.tags[*place]));
        let single = single.map(|place| (self.positions[place], self.tags[place]));
        let after = single.map_or(0, |(position, _)| position);
        let bulk = &self.bulk[..self.bulk.partition_point(|bulk| bulk.position <= until)];
        let later = bulk.iter().rev().take_while(|bulk| bulk.position > after);
        let many = later.filter(|bulk| wanted(bulk.tag)).find(|bulk| bulk.ordinals.contains(ordinal));
        many.map(|bulk| (bulk.position, bulk.tag)).or(single)
    }

    /// Bytes that it takes.
    pub(super) fn size_bytes(&self) -> usize {
        self.positions.capacity() * size_of::<u64>()
            + (self.ordinals.capacity() + self.tags.capacity()) * size_of::<u32>()
            + self.bulk.capacity() * size_of::<Bulk>()
            + self.bulk_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_mention_is_the_one_that_a_search_of_all_finds(
            all in prop::collection::vec((0..3_u32, prop::collection::btree_set(0..40_u32, 0..30)), 0..30),
            ordinal in 0..40_u32,
            until in 0..35_u64,
            tag in prop::option::of(0..3_u32),
        ) {
            let mut mentions = Mentions::default();
            for (position, (tag, ordinals)) in (1..).zip(&all) {
                mentions.add(position, *tag, ordinals.iter().copied().collect());
            }
            let plainly = (1..).zip(&all).filter(|(position, (of, ordinals))| {
                *position <= until && ordinals.contains(&ordinal) && tag.is_none_or(|tag| tag == *of)
            });
            let plainly = plainly.last().map(|(position, (tag, _))| (position, *tag));
            prop_assert_eq!(mentions.last(ordinal, until, |of| tag.is_none_or(|tag| tag == of)), plainly);
        }
    }
}
