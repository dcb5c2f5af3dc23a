//! What the log was told, and what of a difference it was not.

use muster_types::{Digest, Positions, Service, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::{Behind, Cause, Come, Content, Difference, Event, Resolved};
use crate::domain::share_out;

/// Most bytes of an event, with room to spare to what the log takes.
const EVENT_BYTES_MAX: usize = 500 * 1024;
/// More than an event takes besides its devices.
const EVENT_BYTES: usize = 256;
/// More than a resolution takes in an event besides its devices and what it says.
const RESOLVED_BYTES: usize = 96;
/// The logs that are resolved.
const RESOLVED: &[Service] = &[Service::Enroll, Service::Identity, Service::Policy];

/// What the log was told: folded, who should have what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// Devices by what they should have; at least one for each.
    by_id: FxHashMap<Digest, RoaringBitmap>,
    /// Devices that should have anything.
    having: RoaringBitmap,
    positions: Positions,
}

impl Told {
    /// Says what of a difference was not told yet. A repeated difference is nothing; one in which much changed is several
    /// events, each no larger than the log takes and true by itself.
    ///
    /// # Errors
    /// [`Behind`] when what was told is of later positions.
    pub fn decide(&self, difference: Difference) -> Result<Vec<Event>, Behind> {
        let Difference { positions, come, none, causes, otherwise } = difference;
        if !positions.reach(&self.positions, RESOLVED) {
            return Err(Behind { told: self.positions, found: positions });
        }
        let none = none & &self.having;
        let news = |Come { resolution, devices }: Come| {
            let told = self.by_id.get(&resolution.id());
            let news = told.map_or_else(|| devices.clone(), |told| &devices - told);
            (!news.is_empty()).then_some((resolution, news))
        };
        let come: Vec<_> = come.into_iter().filter_map(news).collect();
        let moving = come.iter().fold(none.clone(), |moving, (_, devices)| moving | devices);
        let mut packing = Packing::new(positions);
        for (resolution, news) in come {
            // Between two events of the difference nobody may have it: it is forgotten then, and has to be told anew.
            let stays = self.by_id.get(&resolution.id()).is_some_and(|told| !told.is_subset(&moving));
            let content = (!stays).then(|| resolution.content());
            packing.resolved(resolution.id(), &news, cause(&causes, &news, otherwise), content);
        }
        packing.none(none);
        Ok(packing.finish())
    }

    /// Folds an event.
    pub fn evolve(&mut self, event: &Event) {
        self.fold(event, &mut |_| {});
    }

    /// Folds an event, and names each resolution of which the devices changed.
    pub fn fold(&mut self, event: &Event, changed: &mut dyn FnMut(&Digest)) {
        let Event { positions, resolved, none } = event;
        let came = resolved.iter().fold(RoaringBitmap::new(), |came, resolved| came | &resolved.devices);
        let moved = (&came | none) & &self.having;
        if !moved.is_empty() {
            self.by_id.retain(|id, devices| {
                if !devices.is_disjoint(&moved) {
                    *devices -= &moved;
                    changed(id);
                }
                !devices.is_empty()
            });
        }
        for Resolved { id, devices, cause: _, content: _ } in resolved {
            changed(id);
            if !devices.is_empty() {
                *self.by_id.entry(*id).or_default() |= devices;
            }
        }
        self.having -= none;
        self.having |= came;
        self.positions = self.positions.join(*positions);
    }

    /// Positions that were resolved for what was told last.
    #[must_use]
    pub const fn positions(&self) -> Positions {
        self.positions
    }

    /// Devices that should have a resolution; `None` when nobody should.
    #[must_use]
    pub fn devices(&self, id: &Digest) -> Option<&RoaringBitmap> {
        self.by_id.get(id)
    }

    /// Devices that should have anything.
    #[must_use]
    pub const fn having(&self) -> &RoaringBitmap {
        &self.having
    }

    /// Resolutions that any device should have, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &Digest> {
        self.by_id.keys()
    }

    /// Takes a resolution with its devices back from where it was kept.
    pub fn put(&mut self, id: Digest, devices: RoaringBitmap) {
        self.having |= &devices;
        self.by_id.insert(id, devices);
    }

    /// Takes the positions back from where they were kept.
    pub const fn put_positions(&mut self, positions: Positions) {
        self.positions = positions;
    }
}

/// The earliest cause of any of the devices.
fn cause(causes: &[Cause], devices: &RoaringBitmap, otherwise: Timestamp) -> Timestamp {
    let concerning = causes.iter().filter(|cause| !cause.devices.is_disjoint(devices));
    concerning.map(|cause| cause.time).min().unwrap_or(otherwise)
}

/// Events in the making.
struct Packing {
    done: Vec<Event>,
    event: Event,
    bytes: usize,
}

impl Packing {
    fn new(positions: Positions) -> Self {
        let event = Event { positions, resolved: Vec::new(), none: RoaringBitmap::new() };
        Self { done: Vec::new(), event, bytes: EVENT_BYTES }
    }

    fn resolved(
        &mut self,
        id: Digest,
        devices: &RoaringBitmap,
        cause: Timestamp,
        mut content: Option<Content>,
    ) {
        let mut rest = devices.clone();
        while !rest.is_empty() {
            let fixed = RESOLVED_BYTES + content.as_ref().map_or(0, Content::size_bytes);
            let devices = share_out::take(&mut rest, self.room().saturating_sub(fixed));
            if !devices.is_empty() {
                self.bytes += fixed + devices.serialized_size();
                let content = content.take();
                self.event.resolved.push(Resolved { id, devices, cause, content });
            }
            if !rest.is_empty() {
                self.next();
            }
        }
    }

    fn none(&mut self, mut rest: RoaringBitmap) {
        while !rest.is_empty() {
            self.event.none = share_out::take(&mut rest, self.room());
            if !rest.is_empty() {
                self.next();
            }
        }
    }

    fn room(&self) -> usize {
        EVENT_BYTES_MAX.saturating_sub(self.bytes)
    }

    fn next(&mut self) {
        let positions = self.event.positions;
        let empty = Event { positions, resolved: Vec::new(), none: RoaringBitmap::new() };
        self.done.push(std::mem::replace(&mut self.event, empty));
        self.bytes = EVENT_BYTES;
    }

    fn finish(mut self) -> Vec<Event> {
        if !self.event.resolved.is_empty() || !self.event.none.is_empty() {
            self.next();
        }
        self.done
    }
}
