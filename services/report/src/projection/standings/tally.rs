//! Bitmaps of ordinals, by setting and state: what makes counting cheap. Follows from the rows, and is never stored.

use muster_types::SettingId;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::Counts;
use crate::domain::device_status::{CheckIn, SettingState, Status};

/// One bitmap per state.
type ByState = [RoaringBitmap; SettingState::ALL.len()];

/// The bitmaps.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Devices that said anything.
    reported: RoaringBitmap,
    /// Devices that refused their policy as a whole.
    refused: RoaringBitmap,
    settings: FxHashMap<SettingId, ByState>,
}

/// The place of a state's bitmap.
const fn slot(state: SettingState) -> usize {
    state as usize - 1
}

impl Tally {
    pub(super) fn add(&mut self, ordinal: u32, status: &Status) {
        self.reported.insert(ordinal);
        if !status.refused_reason.is_empty() {
            self.refused.insert(ordinal);
        }
        for setting in &status.settings {
            self.settings.entry(setting.id.clone()).or_default()[slot(setting.state)].insert(ordinal);
        }
    }

    pub(super) fn remove(&mut self, ordinal: u32, status: &Status) {
        self.reported.remove(ordinal);
        self.refused.remove(ordinal);
        for setting in &status.settings {
            if let Some(states) = self.settings.get_mut(&setting.id) {
                states[slot(setting.state)].remove(ordinal);
                if states.iter().all(RoaringBitmap::is_empty) {
                    self.settings.remove(&setting.id);
                }
            }
        }
    }

    /// The same as asking every targeted device's status for its verdict on the settings, and counting; devices of a foreign
    /// platform cannot take them, whatever they say.
    pub(super) fn counts(
        &self,
        targeted: &RoaringBitmap,
        foreign: &RoaringBitmap,
        settings: &[SettingId],
    ) -> Counts {
        let mut spoken_of = targeted & &self.reported;
        let mut error = targeted & &self.refused;
        let (mut conflict, mut pending) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut inapplicable = if settings.is_empty() { RoaringBitmap::new() } else { spoken_of.clone() };
        let silent = ByState::default();
        for id in settings {
            let states = self.settings.get(id).unwrap_or(&silent);
            error |= &states[slot(SettingState::Error)];
            error |= &states[slot(SettingState::TamperProtected)];
            conflict |= &states[slot(SettingState::Conflict)];
            pending |= &states[slot(SettingState::Pending)];
            inapplicable &= &states[slot(SettingState::NotApplicable)] | &states[slot(SettingState::Waived)];
            spoken_of &= states.iter().fold(RoaringBitmap::new(), |any, state| any | state);
        }
        pending |= targeted - &spoken_of;
        let mut left = targeted - foreign;
        let mut take = |devices: &RoaringBitmap| {
            let taken = left.intersection_len(devices);
            left -= devices;
            taken
        };
        // Gravest first: each takes the devices that none before it took, so that the counts add up.
        let (error, conflict, pending) = (take(&error), take(&conflict), take(&pending));
        let inapplicable = take(&inapplicable) + targeted.intersection_len(foreign);
        let succeeded = left.len();
        let count = |verdict: CheckIn| match verdict {
            CheckIn::Succeeded => succeeded,
            CheckIn::Error => error,
            CheckIn::Conflict => conflict,
            CheckIn::Pending => pending,
            CheckIn::NotApplicable => inapplicable,
        };
        Counts { targeted: targeted.len(), by_verdict: CheckIn::ALL.map(|verdict| (verdict, count(verdict))) }
    }
}
