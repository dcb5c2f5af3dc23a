//! What was delivered last to each device, and what of it was not told yet.

use muster_types::{Digest, Timestamp};
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
    /// When the first of the news came.
    first: Option<Timestamp>,
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

    /// That the same policy was sent.
    const fn sent(self) -> Self {
        Self(self.0 & !3 | Step::Sent as u32)
    }
}

impl Memory {
    /// Notes how far a policy is on a device; whether that is news. It is none that the same policy was sent again.
    pub fn note(&mut self, ordinal: u32, etag: &Digest, step: Step, now: Timestamp) -> bool {
        let mark = Mark::new(self.place(etag), step);
        let last = self.last(ordinal);
        let before = *last;
        if before == mark || (step == Step::Sent && before.same_etag(mark)) {
            return false;
        }
        *last = mark;
        // That it was sent stays news when the device spoke of it within the same second.
        for over in [before, before.sent()] {
            if over != mark.sent()
                && let Some(devices) = self.news.get_mut(&over)
            {
                devices.remove(ordinal);
            }
        }
        self.first.get_or_insert(now);
        self.news.entry(mark).or_default().insert(ordinal)
    }

    /// Takes what is news, by etag and step, and when the first of it came; a device is in it with
    /// one policy: that it was sent, what came last of it, or both.
    #[must_use]
    pub fn take(&mut self) -> (Vec<Delivered>, Option<Timestamp>) {
        let first = self.first.take();
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
        (delivered, first)
    }

    /// Puts back what could not be told, as far as nothing newer is known.
    pub fn put_back(&mut self, delivered: &Delivered, first: Option<Timestamp>) {
        let Delivered { etag, step, devices } = delivered;
        self.first = [self.first, first].into_iter().flatten().min();
        let mark = Mark::new(self.place(etag), *step);
        for ordinal in devices {
            let last = self.last(ordinal);
            if *last == Mark::default() {
                *last = mark;
            }
            if *last == mark || (mark == mark.sent() && last.same_etag(mark)) {
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
