//! What was resolved, and which device has which of it: devices that do not differ share one result, and a device costs a
//! number.

use std::sync::Arc;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::domain::resolution::Resolution;
use crate::domain::resolve::{Effective, Reach};

/// The place of devices that get nothing whatever is assigned: gone, managed elsewhere, or not there yet.
pub(super) const NOBODY: u32 = 0;
/// The place of the result of devices that nothing reaches.
pub(super) const NOTHING: u32 = 1;

/// All results in use.
#[derive(Debug)]
pub(super) struct Results {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Results that their last device left since they were last looked through.
    left: Vec<u32>,
    by_reach: FxHashMap<Arc<Reach>, u32>,
    /// Places of results, by ordinal.
    of: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    effective: Arc<Effective>,
    /// What the log is told of it; none of those that get nothing.
    resolution: Option<Resolution>,
    /// What it was resolved from; none of what nothing reaches.
    reach: Option<Arc<Reach>>,
    devices: u32,
}

/// Devices that have another result.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Those whose etag is another: they are hinted.
    pub(super) etags: RoaringBitmap,
    /// All of them.
    pub(super) results: RoaringBitmap,
}

impl Default for Results {
    fn default() -> Self {
        let effective: Arc<Effective> = Arc::default();
        let nothing = Resolution::new(Vec::new(), effective.clone());
        let slot = |resolution| Slot { effective: effective.clone(), resolution, reach: None, devices: 0 };
        Self {
            slots: vec![slot(None), slot(Some(nothing))],
            free: Vec::new(),
            left: Vec::new(),
            by_reach: FxHashMap::default(),
            of: Vec::new(),
        }
    }
}

impl Results {
    /// What the device with an ordinal has; one without gets nothing yet.
    pub(super) fn get(&self, ordinal: Option<u32>) -> &Arc<Effective> {
        let place = ordinal.and_then(|ordinal| self.of.get(ordinal as usize)).copied().unwrap_or(NOBODY);
        &self.slots[place as usize].effective
    }

    /// Makes room for so many ordinals; new ones have nothing.
    pub(super) fn grow(&mut self, ordinals: usize) {
        if ordinals > self.of.len() {
            self.slots[NOBODY as usize].devices +=
                u32::try_from(ordinals - self.of.len()).expect("there are no more ordinals than devices");
            self.of.resize(ordinals, NOBODY);
        }
    }

    /// The place of what was resolved from a reach.
    pub(super) fn find(&self, reach: &Reach) -> Option<u32> {
        self.by_reach.get(reach).copied()
    }

    /// Keeps what was resolved from a reach, until no device has it.
    pub(super) fn add(&mut self, reach: Reach, resolution: Resolution) -> u32 {
        let (reach, effective) = (Arc::new(reach), resolution.effective().clone());
        let slot = Slot { effective, resolution: Some(resolution), reach: Some(reach.clone()), devices: 0 };
        let place = if let Some(place) = self.free.pop() {
            self.slots[place as usize] = slot;
            place
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("there are no more results than devices")
        };
        self.by_reach.insert(reach, place);
        self.left.push(place);
        place
    }

    /// Gives devices a result, and adds those to `changed` that had another. Ordinals of devices that did not come yet are
    /// skipped.
    pub(super) fn set(&mut self, ordinals: &RoaringBitmap, place: u32, changed: &mut Changed) {
        let etag = self.slots[place as usize].effective.etag;
        // Neighbours mostly have the same result: whether it differs is asked once for a row of them.
        let (mut last, mut differs) = (place, false);
        let (mut came, mut others) = (Vec::new(), Vec::new());
        for ordinal in ordinals {
            let Some(of) = self.of.get_mut(ordinal as usize) else { break };
            let before = std::mem::replace(of, place);
            if before == place {
                continue;
            }
            if before != last {
                last = before;
                differs = self.slots[before as usize].effective.etag != etag;
            }
            came.push(ordinal);
            let slot = &mut self.slots[before as usize];
            slot.devices -= 1;
            if slot.devices == 0 {
                self.left.push(before);
            }
            if differs {
                others.push(ordinal);
            }
        }
        self.slots[place as usize].devices +=
            u32::try_from(came.len()).expect("there are no more ordinals than devices");
        let all_differ = others.len() == came.len();
        let came = RoaringBitmap::from_sorted_iter(came).unwrap_or_default();
        if all_differ {
            changed.etags |= &came;
        } else {
            changed.etags |= RoaringBitmap::from_sorted_iter(others).unwrap_or_default();
        }
        changed.results |= came;
    }

    /// Forgets results that no device has.
    pub(super) fn forget_unused(&mut self) {
        let nothing = self.slots[NOTHING as usize].effective.clone();
        for place in std::mem::take(&mut self.left) {
            let slot = &mut self.slots[place as usize];
            if slot.devices > 0 {
                continue;
            }
            if let Some(reach) = slot.reach.take() {
                self.by_reach.remove(&reach);
                slot.effective = nothing.clone();
                slot.resolution = None;
                self.free.push(place);
            }
        }
    }

    /// The place of what a device has; one that did not come yet has nothing.
    pub(super) fn place(&self, ordinal: u32) -> u32 {
        self.of.get(ordinal as usize).copied().unwrap_or(NOBODY)
    }

    /// Places by ordinal.
    pub(super) fn places(&self) -> &[u32] {
        &self.of
    }

    /// What the log is told of results, by place; none of those that get nothing.
    pub(super) fn resolutions(&self) -> impl Iterator<Item = Option<&Resolution>> {
        self.slots.iter().map(|slot| slot.resolution.as_ref())
    }

    /// How many results there are besides nothing.
    pub(super) fn len(&self) -> usize {
        self.by_reach.len()
    }

    /// Bytes that it takes for devices, without what the allocator adds.
    pub(super) fn size_bytes(&self) -> usize {
        self.of.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use muster_catalog::{Catalogue, Platform, RulesAsOf, TamperLock};
    use muster_types::{SettingValue, setting};

    use super::*;
    use crate::domain::resolve::{Channel, Facts};

    fn reach(tamper: TamperLock) -> Reach {
        let facts = Facts {
            platform: Platform::Linux,
            channel: Channel::Ssm,
            domain_controller: false,
            agent_level: Catalogue::builtin().agent_level(Platform::Linux, None),
            tamper,
            rules_as_of: RulesAsOf::Current,
        };
        Reach { facts, policies: Vec::new(), exempt: Vec::new() }
    }

    fn resolved(value: bool) -> Resolution {
        Resolution::new(Vec::new(), Arc::new(effective(value)))
    }

    fn effective(value: bool) -> Effective {
        let (id, value) = ("p/s".parse().unwrap(), SettingValue::Boolean(value));
        Effective { etag: setting::etag([(&id, &value)]), ..Effective::default() }
    }

    fn set(results: &mut Results, ordinals: std::ops::Range<u32>, place: u32) -> Vec<u32> {
        let mut changed = Changed::default();
        results.set(&ordinals.collect(), place, &mut changed);
        assert!(changed.etags.is_subset(&changed.results));
        changed.etags.into_iter().collect()
    }

    #[test]
    fn only_those_whose_etag_is_another_have_changed() {
        let mut results = Results::default();
        results.grow(6);
        let one = results.add(reach(TamperLock::Off), resolved(true));
        assert_eq!(set(&mut results, 1..4, one), [1, 2, 3]);
        assert!(set(&mut results, 1..4, one).is_empty());
        let same = results.add(reach(TamperLock::On), resolved(true));
        let other = results.add(reach(TamperLock::Unknown), resolved(false));
        assert_eq!(set(&mut results, 0..3, same), [0]);
        assert_eq!(set(&mut results, 2..9, other), [2, 3, 4, 5], "ordinals that did not come are skipped");
    }

    #[test]
    fn a_result_is_kept_as_long_as_a_device_has_it() {
        let mut results = Results::default();
        results.grow(3);
        let one = results.add(reach(TamperLock::Off), resolved(true));
        set(&mut results, 0..2, one);
        results.forget_unused();
        assert_eq!((results.find(&reach(TamperLock::Off)), results.len()), (Some(one), 1));
        set(&mut results, 0..1, NOTHING);
        results.forget_unused();
        assert_eq!(results.len(), 1);
        set(&mut results, 1..2, NOTHING);
        results.forget_unused();
        assert_eq!((results.find(&reach(TamperLock::Off)), results.len()), (None, 0));
        let again = results.add(reach(TamperLock::On), resolved(false));
        assert_eq!(again, one, "places are used again");
        set(&mut results, 2..3, again);
        assert_eq!(results.get(Some(2)).etag, effective(false).etag);
        assert_eq!(**results.get(Some(0)), Effective::default());
        assert_eq!(**results.get(None), Effective::default());
    }
}
