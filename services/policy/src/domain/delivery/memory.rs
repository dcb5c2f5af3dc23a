//! What was delivered last to each device, and what of it was not told yet.

use muster_types::Digest;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::{Delivered, Step};

/// Etags that are remembered; when there are more, all is forgotten that was told, and some may be told again.
const ETAGS_MAX: usize = 100_000;

/// Remembers, in 4 bytes a device.
#[derive(Debug, Default)]
pub struct Memory {
    /// By ordinal.
    last: Vec<Mark>,
    places: FxHashMap<Digest, u32>,
    etags: Vec<Digest>,
    news: FxHashMap<Mark, RoaringBitmap>,
}

/// An etag's place, and a step; zero is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Mark(u32);

impl Mark {
    const fn new(place: u32, step: Step) -> Self {
        Self((place + 1) << 2 | step as u32)
    }

    const fn same_etag(self, other: Self) -> bool {
        self.0 >> 2 == other.0 >> 2
    }
}

impl Memory {
    /// Notes how far a policy is on a device; whether that is news. It is none that the same policy was sent again.
    pub fn note(&mut self, ordinal: u32, etag: &Digest, step: Step) -> bool {
        let mark = Mark::new(self.place(etag), step);
        let last = self.last(ordinal);
        let before = *last;
        if before == mark || (step == Step::Sent && before.same_etag(mark)) {
            return false;
        }
        *last = mark;
        if let Some(devices) = self.news.get_mut(&before) {
            devices.remove(ordinal);
        }
        self.news.entry(mark).or_default().insert(ordinal)
    }

    /// Takes what is news, by etag and step; each device is in it once.
    #[must_use]
    pub fn take(&mut self) -> Vec<Delivered> {
        let news = std::mem::take(&mut self.news).into_iter().filter(|(_, devices)| !devices.is_empty());
        let delivered = news.filter_map(|(mark, devices)| {
            let etag = *self.etags.get((mark.0 >> 2) as usize - 1)?;
            Some(Delivered { etag, step: step(mark)?, devices })
        });
        let mut delivered: Vec<_> = delivered.collect();
        delivered.sort_unstable_by_key(|delivered| (delivered.etag, delivered.step));
        if self.etags.len() > ETAGS_MAX {
            *self = Self::default();
        }
        delivered
    }

    /// Puts back what could not be told, as far as nothing newer is known.
    pub fn put_back(&mut self, delivered: &Delivered) {
        let Delivered { etag, step, devices } = delivered;
        let mark = Mark::new(self.place(etag), *step);
        for ordinal in devices {
            let last = self.last(ordinal);
            if *last == mark || *last == Mark::default() {
                *last = mark;
                self.news.entry(mark).or_default().insert(ordinal);
            }
        }
    }

    fn last(&mut self, ordinal: u32) -> &mut Mark {
        let at = ordinal as usize;
        if at >= self.last.len() {
            self.last.resize(at + 1, Mark::default());
        }
        &mut self.last[at]
    }

    fn place(&mut self, etag: &Digest) -> u32 {
        if let Some(place) = self.places.get(etag) {
            return *place;
        }
        let place = u32::try_from(self.etags.len()).expect("all is forgotten before there are so many");
        self.etags.push(*etag);
        self.places.insert(*etag, place);
        place
    }
}

const fn step(mark: Mark) -> Option<Step> {
    match mark.0 & 3 {
        1 => Some(Step::Sent),
        2 => Some(Step::Applying),
        3 => Some(Step::Refused),
        _ => None,
    }
}
