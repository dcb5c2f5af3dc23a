//! Bitmaps of ordinals that make counting cheap: kept with every change, and never stored, since they follow from the rows.
//!
//! Only what is not as it should be has bits. A device that reads everything back is in none of the bitmaps by setting.

use std::sync::Arc;

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::judge::{Class, Outcome};
use super::pool::Pool;
use crate::domain::standing::DeviceState;

/// Most judgements that are remembered; beyond, all are forgotten and made again.
const REMEMBERED_MAX: usize = 1 << 16;

/// The judgement on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Judgement {
    pub(super) class: Class,
    /// It never said anything.
    pub(super) silent: bool,
    /// Over all settings.
    pub(super) state: DeviceState,
    /// The number of its settings that are not read back.
    pub(super) exceptions: u32,
}

/// Settings in force that were not read back, with how they stand.
type Exceptions = Arc<[(u32, Outcome)]>;

/// Devices whose judgement changed, by how, in rising order.
pub(super) type Changes = FxHashMap<(Option<Judgement>, Judgement), Vec<u32>>;

/// The bitmaps.
#[derive(Debug, Default)]
pub(super) struct Tally {
    judged: Vec<Option<Judgement>>,
    exceptions: Pool<Exceptions>,
    remembered: FxHashMap<(u32, u64, bool), u32>,
    marks: FxHashMap<(u32, Outcome), RoaringBitmap>,
    classes: [RoaringBitmap; Class::ALL.len()],
    silent: RoaringBitmap,
    states: [RoaringBitmap; DeviceState::ALL.len()],
}

impl Tally {
    /// Forgets judgements when they are too many. Not between [`Tally::number`] and taking its number in.
    pub(super) fn forget(&mut self) {
        if self.remembered.len() > REMEMBERED_MAX {
            for (_, number) in std::mem::take(&mut self.remembered) {
                self.exceptions.release(number);
            }
        }
    }

    /// The number of some exceptions; `key` is what they follow from.
    pub(super) fn number(
        &mut self,
        key: (u32, u64, bool),
        make: impl FnOnce() -> Vec<(u32, Outcome)>,
    ) -> u32 {
        if let Some(number) = self.remembered.get(&key) {
            return *number;
        }
        // What is remembered is held.
        let number = self.exceptions.intern(make().into());
        self.remembered.insert(key, number);
        number
    }

    pub(super) fn exceptions(&self, number: u32) -> &Exceptions {
        self.exceptions.of(number)
    }

    pub(super) fn of(&self, ordinal: u32) -> Option<Judgement> {
        self.judged.get(ordinal as usize).copied().flatten()
    }

    /// Takes a device's new judgement in.
    pub(super) fn judge(&mut self, ordinal: u32, new: Judgement) {
        let old = self.swap(ordinal, new);
        if old == Some(new) {
            return;
        }
        self.shift(old, new, |bitmap, add| {
            if add {
                bitmap.insert(ordinal)
            } else {
                bitmap.remove(ordinal)
            };
        });
        self.released(old, 1);
    }

    /// Notes a device's new judgement among the changes that [`Tally::judge_all`] takes in; devices come in rising order.
    pub(super) fn change(&mut self, ordinal: u32, new: Judgement, changes: &mut Changes) {
        let old = self.swap(ordinal, new);
        if old != Some(new) {
            changes.entry((old, new)).or_default().push(ordinal);
        }
    }

    /// Takes the new judgements of many devices in, those that change alike at once.
    pub(super) fn judge_all(&mut self, changes: Changes) {
        for ((old, new), devices) in changes {
            let devices = rising(devices);
            self.shift(old, new, |bitmap, add| {
                if add {
                    *bitmap |= &devices;
                } else {
                    *bitmap -= &devices;
                }
            });
            self.released(old, devices.len());
        }
    }

    fn swap(&mut self, ordinal: u32, new: Judgement) -> Option<Judgement> {
        let at = ordinal as usize;
        if self.judged.len() <= at {
            self.judged.resize(at + 1, None);
        }
        let old = self.judged[at].replace(new);
        if old != Some(new) {
            self.exceptions.hold(new.exceptions);
        }
        old
    }

    fn released(&mut self, old: Option<Judgement>, devices: u64) {
        if let Some(old) = old {
            self.exceptions.release_for(old.exceptions, devices);
        }
    }

    /// Changes the bitmaps in which two judgements differ.
    fn shift(
        &mut self,
        old: Option<Judgement>,
        new: Judgement,
        mut change: impl FnMut(&mut RoaringBitmap, bool),
    ) {
        let Self { exceptions, marks, classes, silent, states, .. } = self;
        if old.map(|old| old.class) != Some(new.class) {
            old.iter().for_each(|old| change(&mut classes[old.class as usize], false));
            change(&mut classes[new.class as usize], true);
        }
        if old.map(|old| old.state) != Some(new.state) {
            old.iter().for_each(|old| change(&mut states[slot(old.state)], false));
            change(&mut states[slot(new.state)], true);
        }
        if old.is_some_and(|old| old.silent) != new.silent {
            change(silent, new.silent);
        }
        if old.map(|old| old.exceptions) == Some(new.exceptions) {
            return;
        }
        let new = exceptions.of(new.exceptions);
        let old = old.map(|old| &**exceptions.of(old.exceptions)).unwrap_or_default();
        for mark in old.iter().filter(|mark| !new.contains(mark)) {
            if let Some(devices) = marks.get_mut(mark) {
                change(devices, false);
                if devices.is_empty() {
                    marks.remove(mark);
                }
            }
        }
        for mark in new.iter().filter(|mark| !old.contains(mark)) {
            change(marks.entry(*mark).or_default(), true);
        }
    }

    /// Devices with which a setting in force stands so.
    pub(super) fn marked(&self, setting: u32, outcome: Outcome) -> Option<&RoaringBitmap> {
        self.marks.get(&(setting, outcome))
    }

    pub(super) fn class(&self, class: Class) -> &RoaringBitmap {
        &self.classes[class as usize]
    }

    /// Devices that never said anything.
    pub(super) const fn silent(&self) -> &RoaringBitmap {
        &self.silent
    }

    /// Devices in a state over all settings.
    pub(super) fn state(&self, state: DeviceState) -> &RoaringBitmap {
        &self.states[slot(state)]
    }
}

/// The bitmap of ordinals in rising order.
pub(super) fn rising(ordinals: Vec<u32>) -> RoaringBitmap {
    RoaringBitmap::from_sorted_iter(ordinals).expect("a bitmap names ordinals in rising order")
}

/// The place of a state among [`DeviceState::ALL`].
pub(super) const fn slot(state: DeviceState) -> usize {
    state as usize - 1
}
