//! What is known of all devices, with the rules that read it, and what has to be asked again.

use std::collections::{BTreeMap, BTreeSet};

use muster_types::{DeviceId, GroupId};
use roaring::RoaringBitmap;

use super::{Index, Rules};
use crate::domain::rule::{Attribute, Property, Rule};

/// What is known of all devices, with the rules that read it. Once it is followed, each change marks what has to be asked
/// again; until then everything has to be asked anyhow.
#[derive(Debug, Default)]
pub struct Fleet {
    index: Index,
    rules: Rules,
    marks: Marks,
    followed: bool,
}

/// What has to be asked again: at least everything that is answered otherwise than before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Marks {
    /// Groups whose rules must be asked about all devices.
    pub groups: BTreeSet<GroupId>,
    /// Groups whose rules must be asked about some devices.
    pub devices: BTreeMap<GroupId, RoaringBitmap>,
    /// Devices that are registered no longer.
    pub gone: RoaringBitmap,
}

impl Marks {
    /// Whether there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.devices.is_empty() && self.gone.is_empty()
    }

    /// Takes over other marks.
    pub fn merge(&mut self, other: Self) {
        let Self { groups, devices, gone } = other;
        self.groups.extend(groups);
        for (group, ordinals) in devices {
            *self.devices.entry(group).or_default() |= ordinals;
        }
        self.gone |= gone;
    }
}

impl Fleet {
    /// What is known.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// The rules that read it.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Marks every change from now on.
    pub fn follow(&mut self) {
        self.followed = true;
    }

    /// Takes what has to be asked again.
    pub fn take_marks(&mut self) -> Marks {
        std::mem::take(&mut self.marks)
    }

    /// A device's ordinal; the next one for a device that has none.
    pub fn admit(&mut self, device: DeviceId) -> u32 {
        self.index.ordinal(device).unwrap_or_else(|| self.index.admit(device))
    }

    /// Notes whether a device is registered.
    pub fn set_present(&mut self, ordinal: u32, present: bool) {
        if self.index.present().contains(ordinal) == present {
            return;
        }
        self.index.set_present(ordinal, present);
        if !self.followed {
            return;
        }
        if present {
            self.marks.gone.remove(ordinal);
            for group in self.rules.not_out(&self.index, ordinal) {
                mark(&mut self.marks, group, ordinal);
            }
        } else {
            self.marks.gone.insert(ordinal);
        }
    }

    /// Notes what the device itself or a service tells of a property; `None` is absent.
    pub fn tell(&mut self, ordinal: u32, property: Property, attribute: Option<&Attribute>) {
        self.change(ordinal, property, |index| index.tell(ordinal, property, attribute));
    }

    /// Notes what a directory tells of a property; `None` is nothing.
    pub fn tell_by_directory(&mut self, ordinal: u32, property: Property, attribute: Option<&Attribute>) {
        self.change(ordinal, property, |index| index.tell_by_directory(ordinal, property, attribute));
    }

    /// Notes whether a directory has a device, but has not told of it.
    pub fn set_untold(&mut self, ordinal: u32, untold: bool) {
        if self.index.is_untold(ordinal) == untold {
            return;
        }
        if !self.is_asked_about(ordinal) {
            self.index.set_untold(ordinal, untold);
            return;
        }
        // Many properties change at once: what each rule says before and after tells which are concerned.
        let says = |fleet: &Self| -> Vec<_> {
            fleet.rules.iter().map(|(group, rule)| (group, fleet.index.says(rule, ordinal))).collect()
        };
        let said = says(self);
        self.index.set_untold(ordinal, untold);
        for (before, (group, after)) in said.into_iter().zip(says(self)) {
            if before.1 != after {
                mark(&mut self.marks, group, ordinal);
            }
        }
    }

    /// Notes who came into a static group and who left it.
    pub fn members_changed(&mut self, group: GroupId, added: &RoaringBitmap, removed: &RoaringBitmap) {
        let members = self.index.members_mut(group);
        *members |= added;
        *members -= removed;
        if !self.followed {
            return;
        }
        let changed = added | removed;
        for reading in self.rules.reading_group(group) {
            *self.marks.devices.entry(reading).or_default() |= &changed;
        }
    }

    /// Forgets a group, static or dynamic.
    pub fn forget(&mut self, group: GroupId) {
        if self.followed {
            self.marks.groups.extend(self.rules.reading_group(group));
        }
        self.index.forget_group(group);
        self.rules.remove(group);
        self.marks.groups.remove(&group);
        self.marks.devices.remove(&group);
    }

    /// Gives a group a rule, in the place of the one it had.
    pub fn define(&mut self, group: GroupId, rule: Rule) {
        self.rules.put(group, rule);
        if self.followed {
            self.marks.devices.remove(&group);
            self.marks.groups.insert(group);
        }
    }

    fn is_asked_about(&self, ordinal: u32) -> bool {
        self.followed && self.index.present().contains(ordinal)
    }

    fn change(&mut self, ordinal: u32, property: Property, change: impl FnOnce(&mut Index)) {
        if !self.is_asked_about(ordinal) {
            change(&mut self.index);
            return;
        }
        let had = self.index.attribute(ordinal, property);
        change(&mut self.index);
        for group in self.rules.turned(&self.index, ordinal, property, had.as_ref()) {
            mark(&mut self.marks, group, ordinal);
        }
    }
}

fn mark(marks: &mut Marks, group: GroupId, ordinal: u32) {
    if !marks.groups.contains(&group) {
        marks.devices.entry(group).or_default().insert(ordinal);
    }
}
