//! Devices that came to another result since somebody last asked, and what they came to: for telling the log.

use std::collections::BTreeMap;

use muster_types::{Digest, Positions, Timestamp};
use roaring::RoaringBitmap;

use super::Fleet;
use super::results::NOBODY;
use crate::domain::resolution::{Cause, Come, Difference, Resolution};

/// Causes that are told apart; later ones count as one.
const CAUSES_MAX: usize = 64;

/// Of fewer devices than this share of the fleet the places are asked for one by one.
const ASKED_SHARE: u64 = 16;

/// What is noted; nothing while nobody has asked.
#[derive(Debug, Default)]
pub(super) struct Moves(Option<Moved>);

/// Devices that came to another result.
#[derive(Debug, Default)]
pub struct Moved {
    /// Their ordinals.
    pub devices: RoaringBitmap,
    /// Why.
    pub causes: Vec<Cause>,
}

impl Moves {
    pub(super) fn add(&mut self, devices: &RoaringBitmap, causes: impl Iterator<Item = Cause>) {
        if let Some(moved) = &mut self.0
            && !devices.is_empty()
        {
            moved.devices |= devices;
            causes.for_each(|cause| moved.cause(cause));
        }
    }
}

impl Moved {
    /// Whether nothing moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Adds what moved later.
    pub fn join(&mut self, later: Self) {
        let Self { devices, causes } = later;
        self.devices |= devices;
        causes.into_iter().for_each(|cause| self.cause(cause));
    }

    fn cause(&mut self, cause: Cause) {
        let Cause { devices, time } = &cause;
        if devices.is_empty() {
            return;
        }
        let full = self.causes.len() >= CAUSES_MAX;
        match self.causes.last_mut() {
            Some(last) if full || last.time == *time => {
                last.devices |= devices;
                last.time = last.time.min(*time);
            }
            _ => self.causes.push(cause),
        }
    }
}

/// What some devices should have, at one moment of the view.
#[derive(Debug)]
pub struct Outcomes {
    positions: Positions,
    devices: RoaringBitmap,
    places: Places,
    /// By place.
    resolutions: Vec<Option<Resolution>>,
    latest: Option<Timestamp>,
}

/// Places of results.
#[derive(Debug)]
enum Places {
    /// Of some devices, in their order.
    Some(Vec<u32>),
    /// Of all devices, by ordinal.
    All(Vec<u32>),
}

impl Fleet {
    /// Takes the devices that moved since this was last asked; `None` the first time: all of them may have.
    #[must_use]
    pub fn take_moved(&self) -> Option<Moved> {
        self.moves.lock().0.replace(Moved::default())
    }

    /// Whether devices moved since they were last taken, or were never taken.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.moves.lock().0.as_ref().is_none_or(|moved| !moved.is_empty())
    }

    /// What devices should have; of all devices when none are named. A millisecond or two for a million: what takes longer is
    /// left to [`Outcomes::difference`].
    #[must_use]
    pub fn outcomes(&self, positions: Positions, devices: Option<&RoaringBitmap>) -> Outcomes {
        let all = self.results.places();
        let devices = devices.cloned().unwrap_or_else(|| self.everyone());
        // Copying all of them in a row is quicker than asking for many.
        let places = if devices.len() * ASKED_SHARE > all.len() as u64 {
            Places::All(all.to_vec())
        } else {
            Places::Some(devices.iter().map(|at| self.results.place(at)).collect())
        };
        let resolutions = self.results.resolutions().map(Option::<&Resolution>::cloned).collect();
        Outcomes { positions, devices, places, resolutions, latest: self.latest }
    }
}

impl Outcomes {
    /// What devices should have, by resolution, and why. When nobody knows why, it was the latest event, or else it is
    /// since `now`.
    #[must_use]
    pub fn difference(self, causes: Vec<Cause>, now: Timestamp) -> Difference {
        let Self { positions, devices, places, resolutions, latest } = self;
        let mut by_place: Vec<Vec<u32>> = vec![Vec::new(); resolutions.len()];
        let mut put = |ordinal, place: u32| by_place[place as usize].push(ordinal);
        match places {
            Places::Some(places) => devices.iter().zip(places).for_each(|(at, place)| put(at, place)),
            Places::All(places) => {
                devices.iter().for_each(|at| put(at, places.get(at as usize).copied().unwrap_or(NOBODY)));
            }
        }
        let mut none = RoaringBitmap::new();
        let mut come: BTreeMap<Digest, Come> = BTreeMap::new();
        for (resolution, ordinals) in resolutions.into_iter().zip(by_place) {
            let devices = RoaringBitmap::from_sorted_iter(ordinals).unwrap_or_default();
            match resolution {
                _ if devices.is_empty() => {}
                None => none |= devices,
                Some(resolution) => {
                    let come = come
                        .entry(resolution.id())
                        .or_insert_with(|| Come { resolution, devices: RoaringBitmap::new() });
                    come.devices |= devices;
                }
            }
        }
        let come = come.into_values().collect();
        Difference { positions, come, none, causes, otherwise: latest.unwrap_or(now) }
    }
}
