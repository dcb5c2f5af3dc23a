//! Since when each part of what a device should have is as it is: a new resolution is only news for what differs in it.

use muster_types::Timestamp;
use rustc_hash::FxHashMap;

use super::due::{Desired, Due};
use super::pool::{NONE, Pool};
use super::resolutions::{Resolution, Resolutions};

/// A time for each place of a resolution: its settings in force, then what it withholds. Devices that came the same way
/// share them; where all of it is as old as the resolution, there are none ([`NONE`]).
#[derive(Debug, Default)]
pub(super) struct Ages(Pool<Box<[Timestamp]>>);

impl Ages {
    /// Since when a place is as it is, of a device that came to the resolution at `since`.
    pub(super) fn of(&self, ages: u32, place: usize, since: Timestamp) -> Timestamp {
        self.all(ages).get(place).copied().unwrap_or(since)
    }

    /// The times as they are stored; none where all of it is as old as the resolution.
    pub(super) fn all(&self, ages: u32) -> &[Timestamp] {
        if ages == NONE { &[] } else { self.0.of(ages) }
    }

    /// The ages of a device that leaves what it should have for something else, held once for each of these `devices`, of which there is one at least.
    pub(super) fn moved(
        &mut self,
        from: &Due,
        to: Desired,
        since: Timestamp,
        devices: u64,
        resolutions: &Resolutions,
    ) -> u32 {
        let both = from.desired.resolution().zip(to.resolution());
        let times = both
            .and_then(|(from_at, to)| self.carried(from, since, resolutions.of(from_at), resolutions.of(to)));
        let ages = times.map_or(NONE, |times| self.keep(times));
        if ages != NONE {
            self.0.hold_for(ages, devices - 1);
        }
        if from.ages != NONE {
            self.0.release_for(from.ages, devices);
        }
        ages
    }

    /// The times that go on; none when nothing does.
    fn carried(
        &self,
        before: &Due,
        since: Timestamp,
        from: &Resolution,
        to: &Resolution,
    ) -> Option<Box<[Timestamp]>> {
        let places = |resolution: &Resolution| {
            let in_force = resolution.settings.iter().map(|wanted| (wanted.setting, Ok(wanted.value)));
            let withheld = resolution.withheld.iter().map(|kept| (kept.setting, Err(kept.reason as u8)));
            in_force.chain(withheld).collect::<Vec<_>>()
        };
        let known: FxHashMap<_, _> = places(from).into_iter().zip(0..).collect();
        let age = |place| known.get(&place).map_or(since, |at| self.of(before.ages, *at, before.since));
        let times: Box<[_]> = places(to).into_iter().map(age).collect();
        times.iter().any(|time| *time != since).then_some(times)
    }

    /// Keeps times, held once.
    pub(super) fn keep(&mut self, times: Box<[Timestamp]>) -> u32 {
        self.0.intern(times)
    }
}
