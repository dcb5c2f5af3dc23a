//! When each device was last heard of, and for how long it may be silent.
//!
//! Devices are kept in groups by the minute in which they were last heard of, so that whoever waits for the next one to
//! go stale waits for the oldest group, and nobody looks through the fleet.

mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_proto::policy::v1::DevicesSeen;
use muster_types::{DeviceId, Service, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use crate::domain::report_settings::ReportSettings;
use crate::store::bitmap;
use crate::wire::{self, decoded, kind};
use rows::Key;

/// A minute of time: as exact as it is known when a device was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Minute(u32);

impl Minute {
    const LENGTH: Duration = Duration::from_secs(60);

    /// The minute that a moment is in.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        let minute = moment.micros().div_euclid(60_000_000);
        Self(u32::try_from(minute.max(0)).unwrap_or(u32::MAX))
    }

    /// Its begin.
    #[must_use]
    pub const fn begin(self) -> Timestamp {
        Timestamp::from_micros(self.0 as i64 * 60_000_000)
    }

    /// Its end.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.begin().plus(Self::LENGTH)
    }
}

/// Devices by the minute in which they were last heard of.
type Groups = BTreeMap<Minute, RoaringBitmap>;

/// The view.
#[derive(Debug, Default)]
pub struct Sightings {
    devices: Vec<DeviceId>,
    ordinals: FxHashMap<DeviceId, u32>,
    /// By ordinal; [`Minute::default`] for never.
    last: Vec<Minute>,
    /// Those that can go stale.
    watched: Groups,
    /// Those that cannot: they are stale or gone.
    idle: Groups,
    /// Ordinals of devices that are no longer registered.
    gone: RoaringBitmap,
    /// Ordinals of devices that are stale, and when they were heard of before.
    stale: FxHashMap<u32, Minute>,
    /// Ordinals of stale devices that were heard of since.
    returning: RoaringBitmap,
    /// What came before a device's ordinal was known.
    early: FxHashMap<DeviceId, Early>,
    settings: ReportSettings,
}

/// What is known of a device without an ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Early {
    last: Minute,
    stale: Option<Minute>,
}

impl Sightings {
    /// When devices count as stale or drifting.
    #[must_use]
    pub const fn settings(&self) -> &ReportSettings {
        &self.settings
    }

    /// Devices that are neither stale nor gone and were not heard of for so long, and in which minute they were: those of
    /// the longest silence first.
    pub fn silent(&self, silence: Duration, now: Timestamp) -> impl Iterator<Item = (DeviceId, Minute)> {
        let groups = self.watched.iter().take_while(move |(minute, _)| minute.end().plus(silence) <= now);
        groups.flat_map(|(minute, group)| {
            // An ordinal may be told before its device is.
            let devices = group.iter().filter_map(|ordinal| self.devices.get(ordinal as usize));
            devices.map(|device| (*device, *minute))
        })
    }

    /// The longest silence of a device that is neither stale nor gone: the minute before it.
    #[must_use]
    pub fn longest_silence(&self) -> Option<Minute> {
        self.watched.first_key_value().map(|(minute, _)| *minute)
    }

    /// Stale devices that were heard of again, and in which minute.
    pub fn returning(&self) -> impl Iterator<Item = (DeviceId, Minute)> {
        let there = self.returning.iter().filter(|ordinal| !self.gone.contains(*ordinal));
        there.filter_map(|ordinal| Some((*self.devices.get(ordinal as usize)?, self.last(ordinal))))
    }

    fn last(&self, ordinal: u32) -> Minute {
        self.last.get(ordinal as usize).copied().unwrap_or_default()
    }

    fn is_idle(&self, ordinal: u32) -> bool {
        self.gone.contains(ordinal) || self.stale.contains_key(&ordinal)
    }

    /// Notes that devices were heard of; what is known to be later stays.
    fn see(&mut self, seen: impl Iterator<Item = u32>, minute: Minute, dirty: &mut Dirty) {
        let mut leaving = Groups::new();
        for ordinal in seen {
            let before = self.last(ordinal);
            if before < minute {
                leaving.entry(before).or_default().insert(ordinal);
            }
        }
        for (before, ordinals) in leaving {
            let (mut watched, mut idle) = (RoaringBitmap::new(), RoaringBitmap::new());
            for ordinal in &ordinals {
                self.set_last(ordinal, minute);
                if self.is_idle(ordinal) {
                    idle.insert(ordinal)
                } else {
                    watched.insert(ordinal)
                };
                if self.stale.get(&ordinal).is_some_and(|since| *since < minute) {
                    self.returning.insert(ordinal);
                }
            }
            for (groups, ordinals) in [(&mut self.watched, watched), (&mut self.idle, idle)] {
                take_out(groups, before, &ordinals);
                put_in(groups, minute, &ordinals);
            }
            dirty.mark(Key::Group(before).to_bytes());
            dirty.mark(Key::Group(minute).to_bytes());
        }
    }

    fn set_last(&mut self, ordinal: u32, minute: Minute) {
        let at = ordinal as usize;
        if self.last.len() <= at {
            self.last.resize(at + 1, Minute::default());
        }
        self.last[at] = minute;
    }

    /// Moves a device to where it belongs, after it became stale or gone or is no more.
    fn place(&mut self, ordinal: u32) {
        let (minute, one) = (self.last(ordinal), RoaringBitmap::from_iter([ordinal]));
        let (to, from) = if self.is_idle(ordinal) {
            (&mut self.idle, &mut self.watched)
        } else {
            (&mut self.watched, &mut self.idle)
        };
        take_out(from, minute, &one);
        put_in(to, minute, &one);
    }

    fn push_device(&mut self, device: DeviceId) -> Result<u32, String> {
        let ordinal = u32::try_from(self.devices.len()).map_err(|_| "more devices than ordinals")?;
        self.devices.push(device);
        self.ordinals.insert(device, ordinal);
        Ok(ordinal)
    }

    fn trust(&mut self, device: DeviceId, minute: Minute, dirty: &mut Dirty) -> Result<(), String> {
        let ordinal = match self.ordinals.get(&device) {
            Some(ordinal) => *ordinal,
            None => {
                let ordinal = self.push_device(device)?;
                dirty.mark(Key::Device(ordinal).to_bytes());
                if let Some(Early { last, stale }) = self.early.remove(&device) {
                    dirty.mark(Key::Early(device).to_bytes());
                    self.see([ordinal].into_iter(), last, dirty);
                    self.set_stale(ordinal, stale);
                }
                ordinal
            }
        };
        if self.gone.remove(ordinal) {
            dirty.mark(Key::Device(ordinal).to_bytes());
            self.place(ordinal);
        }
        self.see([ordinal].into_iter(), minute, dirty);
        Ok(())
    }

    fn remove(&mut self, device: DeviceId, dirty: &mut Dirty) {
        if let Some(ordinal) = self.ordinals.get(&device).copied() {
            self.gone.insert(ordinal);
            self.place(ordinal);
            dirty.mark(Key::Device(ordinal).to_bytes());
        }
    }

    fn set_stale(&mut self, ordinal: u32, since: Option<Minute>) {
        match since {
            Some(since) => self.stale.insert(ordinal, since),
            None => self.stale.remove(&ordinal),
        };
        if since.is_some_and(|since| since < self.last(ordinal)) {
            self.returning.insert(ordinal);
        } else {
            self.returning.remove(ordinal);
        }
        self.place(ordinal);
    }

    /// Folds what this service itself told of a device.
    fn told(&mut self, device: DeviceId, told: Told, dirty: &mut Dirty) {
        let stale_row = || Key::Stale(device).to_bytes();
        match (self.ordinals.get(&device).copied(), told) {
            (Some(ordinal), Told::Seen(minute)) => self.see([ordinal].into_iter(), minute, dirty),
            (Some(ordinal), Told::Stale(since)) => {
                self.set_stale(ordinal, Some(since));
                dirty.mark(stale_row());
            }
            (Some(ordinal), Told::Returned(minute)) => {
                self.set_stale(ordinal, None);
                self.see([ordinal].into_iter(), minute, dirty);
                dirty.mark(stale_row());
            }
            (None, told) => {
                let early = self.early.entry(device).or_default();
                match told {
                    Told::Seen(minute) => early.last = early.last.max(minute),
                    Told::Stale(since) => early.stale = Some(since),
                    Told::Returned(minute) => {
                        early.stale = None;
                        early.last = early.last.max(minute);
                    }
                }
                dirty.mark(Key::Early(device).to_bytes());
            }
        }
    }

    fn fold(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let (payload, now) = (&event.payload[..], Minute::of(event.context.time));
        let device = DeviceId::from_uuid(event.stream.id);
        match event.kind.as_str() {
            kind::TRUST_ESTABLISHED => self.trust(device, now, dirty)?,
            kind::REGISTRATION_REMOVED => self.remove(device, dirty),
            kind::DEVICES_SEEN => {
                let DevicesSeen { devices } = decoded(payload)?;
                self.see(bitmap(&devices)?.iter(), now, dirty);
            }
            kind::STATUS_REPORTED => self.told(device, Told::Seen(now), dirty),
            kind::DEVICE_WENT_STALE => {
                let since = Minute::of(wire::went_stale(payload)?);
                self.told(device, Told::Stale(since), dirty);
            }
            kind::DEVICE_RETURNED => {
                let seen = Minute::of(wire::returned(payload)?);
                self.told(device, Told::Returned(seen), dirty);
            }
            kind::REPORT_SETTINGS_CHANGED => {
                if let Some(event) = ReportSettings::decode(event)? {
                    self.settings.evolve(&event);
                    dirty.mark(Key::Settings.to_bytes());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the report log tells of a device.
#[derive(Debug, Clone, Copy)]
enum Told {
    Seen(Minute),
    Stale(Minute),
    Returned(Minute),
}

fn take_out(groups: &mut Groups, minute: Minute, ordinals: &RoaringBitmap) {
    if let Some(group) = groups.get_mut(&minute) {
        *group -= ordinals;
        if group.is_empty() {
            groups.remove(&minute);
        }
    }
}

/// Those that were never heard of are in no group.
fn put_in(groups: &mut Groups, minute: Minute, ordinals: &RoaringBitmap) {
    if minute != Minute::default() && !ordinals.is_empty() {
        *groups.entry(minute).or_default() |= ordinals;
    }
}

impl View for Sightings {
    const NAME: &'static str = "sightings";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &[Service::Identity, Service::Policy, Service::Report];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        self.fold(event, dirty).map_err(|reason| FoldError::new(event, reason))
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.keys().for_each(|key| row(&key.to_bytes()));
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.row(Key::from_bytes(key)?)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.load(Key::from_bytes(key).ok_or("not the key of a row")?, value)
    }
}
