//! Sharing devices out to events, of which each has room for so much.

use roaring::RoaringBitmap;

/// Ordinals of one container of a bitmap.
const CONTAINER: u32 = 1 << 16;
/// More than a container takes in a bitmap, with what tells where it is.
const CONTAINER_BYTES: usize = 8 * 1024 + 16;

/// Takes the first devices out, as many as fit in so many bytes; none when there is no room for any. Both bitmaps take
/// as few bytes as they can.
pub fn take(devices: &mut RoaringBitmap, bytes: usize) -> RoaringBitmap {
    devices.optimize();
    if devices.serialized_size() <= bytes {
        return std::mem::take(devices);
    }
    let (Some(first), containers) = (devices.min(), bytes.saturating_sub(16) / CONTAINER_BYTES) else {
        return RoaringBitmap::new();
    };
    let containers = u32::try_from(containers).unwrap_or(u32::MAX);
    let end = (first / CONTAINER).saturating_add(containers).saturating_mul(CONTAINER);
    let mut taken = devices.clone();
    taken.remove_range(end..);
    devices.remove_range(..end);
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_devices_are_taken_in_parts_that_fit(
            ordinals in prop::collection::vec((0..200_u32, any::<u16>()), 0..400),
            bytes in 9_000..100_000_usize,
        ) {
            let all: RoaringBitmap = ordinals.iter().map(|(high, low)| high * CONTAINER + u32::from(*low)).collect();
            let (mut rest, mut together) = (all.clone(), RoaringBitmap::new());
            while !rest.is_empty() {
                let taken = take(&mut rest, bytes);
                prop_assert!(!taken.is_empty() && taken.serialized_size() <= bytes);
                prop_assert!(taken.is_disjoint(&together) && taken.is_disjoint(&rest));
                together |= taken;
            }
            prop_assert_eq!(together, all);
        }
    }

    #[test]
    fn what_has_no_room_stays() {
        let mut devices: RoaringBitmap = (0..100_000).step_by(3).collect();
        assert!(take(&mut devices, 100).is_empty());
        assert_eq!(devices.len(), 33_334);
    }
}
