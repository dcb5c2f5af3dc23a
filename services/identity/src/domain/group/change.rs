//! A change of members as events that the log takes.

use muster_types::Timestamp;
use roaring::RoaringBitmap;

use super::Event;

/// Most bytes of the two bitmaps of one event; the log takes payloads of 512 KiB.
pub const CHANGE_BYTES_MAX: usize = 480 * 1024;

/// The events that tell a change: none when nothing changed, several when one would be too large.
pub(super) fn membership_changed(added: RoaringBitmap, removed: RoaringBitmap, at: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    split(added, removed, CHANGE_BYTES_MAX, &mut |added, removed| {
        events.push(Event::MembershipChanged { added, removed, at });
    });
    events
}

/// Halves the range of ordinals until each part is small enough, and tells the parts in order.
fn split(
    added: RoaringBitmap,
    removed: RoaringBitmap,
    bytes_max: usize,
    part: &mut impl FnMut(RoaringBitmap, RoaringBitmap),
) {
    let first = [added.min(), removed.min()].into_iter().flatten().min();
    let last = [added.max(), removed.max()].into_iter().flatten().max();
    let (Some(first), Some(last)) = (first, last) else { return };
    if first == last || added.serialized_size() + removed.serialized_size() <= bytes_max {
        part(added, removed);
        return;
    }
    let middle = first + (last - first) / 2;
    let (mut low, mut high) = ((added.clone(), removed.clone()), (added, removed));
    for bitmap in [&mut low.0, &mut low.1] {
        bitmap.remove_range(middle + 1..);
    }
    for bitmap in [&mut high.0, &mut high.1] {
        bitmap.remove_range(..=middle);
    }
    split(low.0, low.1, bytes_max, part);
    split(high.0, high.1, bytes_max, part);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_a_change_are_small_and_whole(
            added in proptest::collection::btree_set(0u32..500_000, 0..300),
            removed in proptest::collection::btree_set(500_000u32..1_000_000, 0..300),
        ) {
            let (added, removed) = (RoaringBitmap::from_iter(added), RoaringBitmap::from_iter(removed));
            let (mut came, mut left, mut parts) = (RoaringBitmap::new(), RoaringBitmap::new(), 0);
            split(added.clone(), removed.clone(), 128, &mut |a, r| {
                assert!(a.serialized_size() + r.serialized_size() <= 128 && !(a.is_empty() && r.is_empty()));
                assert!(came.is_disjoint(&a) && left.is_disjoint(&r));
                came |= a;
                left |= r;
                parts += 1;
            });
            prop_assert_eq!((&came, &left), (&added, &removed));
            prop_assert_eq!(parts == 0, added.is_empty() && removed.is_empty());
        }
    }
}
