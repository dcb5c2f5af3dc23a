//! From touched devices to what each shall be set to, once per distinct input, and to hints for those that wait for one.

use std::sync::Arc;

use muster_eventlog::Envelope;
use muster_types::Timestamp;
use roaring::RoaringBitmap;

use super::Fleet;
use super::results::{Changed, NOBODY, NOTHING};
use crate::domain::resolution::{Cause, Resolution, Revised};
use crate::domain::resolve::{Part, Reach};
use crate::watch::Hint;

/// Changes whose traces are told apart in one run of events; later ones are told by the device alone.
const CAUSES_MAX: usize = 64;

/// Devices that an event may have changed, or that shall be hinted whatever they shall be set to: asked by an admin, or
/// because what they are directed to do changed.
#[derive(Debug)]
pub(super) struct Touched {
    ordinals: RoaringBitmap,
    traceparent: Option<Arc<str>>,
    /// When the earliest of them was decided.
    time: Timestamp,
}

impl Touched {
    fn add(all: &mut Vec<Self>, ordinals: RoaringBitmap, event: &Envelope) {
        if ordinals.is_empty() {
            return;
        }
        let traceparent = event.context.traceparent.clone();
        let (full, time) = (all.len() >= CAUSES_MAX, event.context.time);
        match all.last_mut() {
            Some(last) if last.traceparent == traceparent => last.join(ordinals, time),
            Some(last) if full => {
                last.join(ordinals, time);
                last.traceparent = None;
            }
            _ => all.push(Self { ordinals, traceparent, time }),
        }
    }

    fn join(&mut self, ordinals: RoaringBitmap, time: Timestamp) {
        self.ordinals |= ordinals;
        self.time = self.time.min(time);
    }

    fn union(all: &[Self]) -> RoaringBitmap {
        all.iter().fold(RoaringBitmap::new(), |union, touched| union | &touched.ordinals)
    }

    /// The last that touched a device.
    fn cause(all: &[Self], ordinal: u32) -> Option<&Self> {
        all.iter().rev().find(|touched| touched.ordinals.contains(ordinal))
    }
}

impl Fleet {
    /// Notes that devices may have to be set to something else.
    pub(super) fn touch(&mut self, ordinals: RoaringBitmap, event: &Envelope) {
        Touched::add(&mut self.touched, ordinals, event);
    }

    /// Notes that devices shall check in whatever they shall be set to.
    pub(super) fn ask(&mut self, ordinals: RoaringBitmap, event: &Envelope) {
        Touched::add(&mut self.asked, ordinals, event);
    }

    /// All ordinals.
    pub(super) fn everyone(&self) -> RoaringBitmap {
        let mut everyone = RoaringBitmap::new();
        everyone.insert_range(0..u32::try_from(self.by_ordinal.len()).unwrap_or(u32::MAX));
        everyone
    }

    pub(super) fn resolve_all(&mut self) {
        self.resolve_again(&self.everyone());
    }

    /// Resolves touched devices again and hints those for which something changed, and those asked.
    pub(super) fn resolve_touched(&mut self) {
        if self.touched.is_empty() && self.asked.is_empty() {
            return;
        }
        let touched = std::mem::take(&mut self.touched);
        let asked = std::mem::take(&mut self.asked);
        let changed = self.resolve_again(&Touched::union(&touched));
        if !self.watches.is_empty() {
            self.hint(&changed.etags, &touched, &asked);
        }
        let causes = touched.into_iter().map(|Touched { ordinals, traceparent: _, time }| {
            let devices = ordinals & &changed.results;
            Cause { devices, time }
        });
        self.moves.get_mut().add(&changed.results, causes);
    }

    fn resolve_again(&mut self, ordinals: &RoaringBitmap) -> Changed {
        let mut changed = Changed::default();
        let mut rest = ordinals.clone();
        for part in self.tables.parts(ordinals) {
            rest -= &part.devices;
            let result = self.resolved(&part);
            self.results.set(&part.devices, result, &mut changed);
        }
        self.results.set(&rest, NOBODY, &mut changed);
        self.results.forget_unused();
        self.metrics.results(self.results.len());
        changed
    }

    /// The place of what devices of a part shall be set to.
    fn resolved(&mut self, part: &Part) -> u32 {
        let reach = self.tables.reach(part);
        if reach.policies.is_empty() {
            return NOTHING;
        }
        self.results.find(&reach).unwrap_or_else(|| {
            let effective = self.tables.resolve(&reach, self.catalogue);
            self.metrics.resolved();
            let resolution = Resolution::new(self.for_platform(&reach), Arc::new(effective));
            self.results.add(reach, resolution)
        })
    }

    /// The policies of a reach that are for the devices' platform.
    fn for_platform(&self, reach: &Reach) -> Vec<Revised> {
        let Reach { facts, policies, exempt: _ } = reach;
        let fits = |profile: &str| {
            self.catalogue.profile(profile).is_some_and(|profile| profile.platform == facts.platform)
        };
        let policies =
            policies.iter().filter(|by| self.tables.policy(by.policy).is_some_and(|row| fits(&row.profile)));
        policies.map(|by| Revised { policy: by.policy, revision: by.revision }).collect()
    }

    /// Costs what the devices that watch cost, however many changed.
    fn hint(&self, changed: &RoaringBitmap, touched: &[Touched], asked: &[Touched]) {
        let watching = self.watches.watching(&(changed | Touched::union(asked)));
        let hints = watching.iter().filter_map(|ordinal| {
            let device = self.by_place(ordinal)?.id;
            let causes = if changed.contains(ordinal) { touched } else { asked };
            let traceparent = Touched::cause(causes, ordinal).and_then(|cause| cause.traceparent.clone());
            let etag = self.results.get(Some(ordinal)).etag;
            Some((device, Hint { etag, spread: std::time::Duration::ZERO, traceparent }))
        });
        self.watches.hint(hints);
    }
}
