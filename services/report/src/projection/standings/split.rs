//! The devices of a policy, taken apart by state: set algebra over the bitmaps of the tally.

use muster_types::{PolicyId, SettingId};
use roaring::RoaringBitmap;

use super::Standings;
use super::judge::{Class, Outcome};
use super::resolutions::Treatment;
use super::tally::slot;
use super::targets::Policy;
use crate::domain::device_status::SettingState;
use crate::domain::standing::DeviceState;

/// Devices by state, in the order of [`DeviceState::ALL`]; none in two.
pub(super) type ByState = [RoaringBitmap; DeviceState::ALL.len()];
/// Devices by state of a setting, in the order of [`SettingState::ALL`]; none in two.
pub(super) type BySettingState = [RoaringBitmap; SettingState::ALL.len()];

/// Devices that are still to be taken, gravest first.
struct Left<'a> {
    left: RoaringBitmap,
    states: &'a mut ByState,
}

impl Left<'_> {
    fn take(&mut self, devices: &RoaringBitmap, state: DeviceState) {
        let taken = &self.left & devices;
        self.left -= &taken;
        self.states[slot(state)] |= taken;
    }

    fn take_all(&mut self, state: DeviceState) {
        self.states[slot(state)] |= std::mem::take(&mut self.left);
    }
}

impl Standings {
    /// Ordinals of the devices that a policy is assigned to: exclusion wins, and who is gone does not count.
    pub(super) fn targeted(&self, policy: PolicyId) -> RoaringBitmap {
        let mut targeted = self.targets.of(policy) - &self.devices.gone;
        targeted.remove_range(u32::try_from(self.devices.rows.len()).unwrap_or(u32::MAX)..);
        targeted
    }

    /// The targeted devices by state. The same as asking each of them.
    pub(super) fn split(&self, id: PolicyId, policy: &Policy, targeted: &RoaringBitmap) -> ByState {
        let mut states = ByState::default();
        let mut left = targeted.clone();
        for part in self.resolutions.parts(id) {
            let devices = &left & part.devices;
            if devices.is_empty() {
                continue;
            }
            left -= &devices;
            self.split_part(part.treatment, Left { left: devices, states: &mut states });
        }
        let mut unknown = &left & self.tally.class(Class::Unknown);
        if let Some(platform) = policy.platform() {
            unknown -= self.devices.others(platform);
        }
        left -= &unknown;
        states[slot(DeviceState::Unknown)] |= unknown;
        states[slot(DeviceState::Unsupported)] |= left;
        states
    }

    fn split_part(&self, treatment: &Treatment, mut left: Left<'_>) {
        let Treatment { policy: _, revision: _, in_force, withheld } = treatment;
        let withheld = |outcome| withheld.iter().any(|(_, other)| *other == outcome);
        left.take(self.tally.class(Class::Refused), DeviceState::Refused);
        for (outcome, state) in [
            (Outcome::Failed, DeviceState::Failed),
            (Outcome::TamperProtected, DeviceState::TamperProtected),
            (Outcome::Conflict, DeviceState::Conflict),
        ] {
            if withheld(outcome) {
                return left.take_all(state);
            }
            self.any(in_force, outcome, |devices| left.take(devices, state));
        }
        let nothing = in_force.is_empty() && treatment.withheld.is_empty();
        let mut unmet = RoaringBitmap::new();
        self.any(in_force, Outcome::Unmet, |devices| unmet |= &left.left & devices);
        if !in_force.is_empty() {
            unmet |= &left.left & self.tally.silent();
        }
        if nothing {
            unmet = &left.left - self.tally.class(Class::Spoken);
        }
        for class in [Class::Never, Class::Delivered, Class::Applying] {
            left.take(&(&unmet & self.tally.class(class)), class.pending());
        }
        self.any(in_force, Outcome::Applying, |devices| left.take(devices, DeviceState::Applying));
        if !nothing {
            self.split_inapplicable(in_force, withheld(Outcome::Unsupported), &mut left);
        }
        left.take_all(DeviceState::Confirmed);
    }

    /// Devices that can take none of the settings, or are exempt.
    fn split_inapplicable(&self, in_force: &[u32], unsupported: bool, left: &mut Left<'_>) {
        let mut inapplicable = left.left.clone();
        for setting in in_force {
            let mut either = RoaringBitmap::new();
            for outcome in [Outcome::Unsupported, Outcome::Waived] {
                either |= self.tally.marked(*setting, outcome).cloned().unwrap_or_default();
            }
            inapplicable &= either;
        }
        if unsupported {
            return left.take(&inapplicable, DeviceState::Unsupported);
        }
        let mut some = RoaringBitmap::new();
        self.any(in_force, Outcome::Unsupported, |devices| some |= &inapplicable & devices);
        left.take(&some, DeviceState::Unsupported);
        left.take(&inapplicable, DeviceState::Waived);
    }

    fn any(&self, settings: &[u32], outcome: Outcome, mut with: impl FnMut(&RoaringBitmap)) {
        settings.iter().filter_map(|setting| self.tally.marked(*setting, outcome)).for_each(&mut with);
    }

    /// The targeted devices by state of one setting. The same as asking each of them.
    pub(super) fn split_setting(
        &self,
        id: PolicyId,
        policy: &Policy,
        setting: &SettingId,
        targeted: &RoaringBitmap,
    ) -> BySettingState {
        let mut states = BySettingState::default();
        let mut put = |state: SettingState, devices: RoaringBitmap| states[state as usize - 1] |= devices;
        let mut left = targeted.clone();
        let known = self.words.settings.find(self.words.settings.hash(setting), |other| other == setting);
        for part in self.resolutions.parts(id) {
            let mut devices = &left & part.devices;
            if devices.is_empty() {
                continue;
            }
            left -= &devices;
            match known.map_or(Treated::Absent, |setting| treated(part.treatment, setting)) {
                Treated::Withheld(outcome) => put(outcome.state(false), devices),
                // Its resolution is of this revision, and has no such setting for the device.
                Treated::Absent if part.treatment.revision == policy.revision => {
                    put(SettingState::NotApplicable, devices);
                }
                Treated::Absent => put(SettingState::Pending, devices),
                Treated::InForce(setting) => self.split_in_force(setting, &mut devices, &mut put),
            }
        }
        let mut unknown = &left & self.tally.class(Class::Unknown);
        if let Some(platform) = policy.platform() {
            unknown -= self.devices.others(platform);
        }
        left -= &unknown;
        put(SettingState::Pending, unknown);
        put(SettingState::NotApplicable, left);
        states
    }

    fn split_in_force(
        &self,
        setting: u32,
        devices: &mut RoaringBitmap,
        put: &mut impl FnMut(SettingState, RoaringBitmap),
    ) {
        let refused = self.tally.class(Class::Refused);
        let mut unmet = &*devices & self.tally.silent();
        for outcome in Outcome::ALL {
            let Some(marked) = self.tally.marked(setting, outcome) else { continue };
            let found = &*devices & marked;
            if outcome == Outcome::Unmet {
                unmet |= found;
            } else {
                *devices -= &found;
                put(outcome.state(false), found);
            }
        }
        *devices -= &unmet;
        put(Outcome::Unmet.state(true), &unmet & refused);
        put(Outcome::Unmet.state(false), unmet - refused);
        put(SettingState::Succeeded, std::mem::take(devices));
    }
}

/// What becomes of a setting of a policy.
enum Treated {
    InForce(u32),
    Withheld(Outcome),
    Absent,
}

fn treated(treatment: &Treatment, setting: u32) -> Treated {
    let Treatment { policy: _, revision: _, in_force, withheld } = treatment;
    if let Some((_, outcome)) = withheld.iter().find(|(kept, _)| *kept == setting) {
        return Treated::Withheld(*outcome);
    }
    if in_force.contains(&setting) { Treated::InForce(setting) } else { Treated::Absent }
}
