//! From touched devices to what each shall be set to: set algebra, then one resolution per distinct input.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_eventlog::Envelope;
use muster_types::{DeviceId, GroupId, PolicyId};
use roaring::RoaringBitmap;

use super::Fleet;
use crate::domain::assignment::Intent;
use crate::domain::resolve::{Effective, Facts, Reaching, resolve};
use crate::watch::{Hint, spread};

/// Changes whose traces are told apart in one run of events; later ones are told by the device alone.
const CAUSES_MAX: usize = 64;
/// Results that are kept without looking whether a device still has them.
const SHARED_MIN: usize = 256;

/// What a result depends on: the facts that matter, and the policies that reach, with revisions and groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Reach {
    facts: Facts,
    policies: Vec<(PolicyId, u64, Vec<GroupId>)>,
}

/// Devices that an event may have changed.
#[derive(Debug)]
pub(super) struct Touched {
    ordinals: RoaringBitmap,
    traceparent: Option<Arc<str>>,
}

impl Fleet {
    pub(super) fn touch(&mut self, ordinals: RoaringBitmap, event: &Envelope) {
        if ordinals.is_empty() {
            return;
        }
        let traceparent = event.context.traceparent.clone();
        let full = self.touched.len() >= CAUSES_MAX;
        match self.touched.last_mut() {
            Some(last) if last.traceparent == traceparent => last.ordinals |= ordinals,
            Some(last) if full => {
                last.ordinals |= ordinals;
                last.traceparent = None;
            }
            _ => self.touched.push(Touched { ordinals, traceparent }),
        }
    }

    pub(super) fn resolve_all(&mut self) {
        let ordinals = (0..u32::try_from(self.by_ordinal.len()).unwrap_or(u32::MAX)).collect();
        self.resolve_again(&ordinals);
    }

    /// Resolves touched devices again and hints those for which something changed, and those asked.
    pub(super) fn resolve_touched(&mut self) {
        if self.touched.is_empty() && self.asked.is_empty() {
            return;
        }
        let touched = std::mem::take(&mut self.touched);
        let asked = std::mem::take(&mut self.asked);
        let ordinals =
            touched.iter().fold(RoaringBitmap::new(), |ordinals, touched| ordinals | &touched.ordinals);
        let changed = self.resolve_again(&ordinals);
        if !self.watches.is_empty() {
            self.hint(&changed, &touched, asked);
        }
    }

    fn resolve_again(&mut self, ordinals: &RoaringBitmap) -> RoaringBitmap {
        let mut changed = RoaringBitmap::new();
        let mut rest = ordinals.clone();
        let classes: Vec<_> = self.classes.iter().map(|(facts, class)| (*facts, class & ordinals)).collect();
        for (facts, class) in classes {
            rest -= &class;
            for (part, groups) in self.parts(class) {
                let effective = self.effective(facts, &groups);
                self.set(&part, &effective, &mut changed);
            }
        }
        let nothing = self.nothing.clone();
        self.set(&rest, &nothing, &mut changed);
        self.forget_unused();
        changed
    }

    /// Devices apart by the assigned groups they are in: devices of one part are in the same groups.
    fn parts(&self, ordinals: RoaringBitmap) -> Vec<(RoaringBitmap, Vec<GroupId>)> {
        let mut parts = Vec::new();
        if !ordinals.is_empty() {
            parts.push((ordinals, Vec::new()));
        }
        for id in self.by_group.keys() {
            let Some(group) = self.groups.get(id) else { continue };
            let mut split = Vec::new();
            for (part, groups) in &mut parts {
                let inside = &*part & &group.members;
                if inside.len() == part.len() {
                    groups.push(*id);
                } else if !inside.is_empty() {
                    *part -= &inside;
                    let with = groups.iter().copied().chain([*id]).collect();
                    split.push((inside, with));
                }
            }
            parts.append(&mut split);
        }
        parts
    }

    /// What devices with these facts in these groups shall be set to.
    fn effective(&mut self, facts: Facts, groups: &[GroupId]) -> Arc<Effective> {
        let reach = self.reach(facts, groups);
        if reach.policies.is_empty() {
            return self.nothing.clone();
        }
        if let Some(shared) = self.shared.get(&reach) {
            return shared.clone();
        }
        let reaching: Vec<_> = reach
            .policies
            .iter()
            .filter_map(|(policy, revision, groups)| {
                let settings = &self.policies.get(policy)?.settings;
                Some(Reaching { policy: *policy, revision: *revision, groups: groups.clone(), settings })
            })
            .collect();
        let effective = Arc::new(resolve(facts, &reaching, self.catalogue));
        self.metrics.resolved();
        self.shared.insert(reach, effective.clone());
        effective
    }

    /// The policies that reach members of all of these groups; exclusion wins.
    fn reach(&self, facts: Facts, groups: &[GroupId]) -> Reach {
        let mut policies: BTreeMap<PolicyId, Option<Vec<GroupId>>> = BTreeMap::new();
        for group in groups {
            for policy in self.by_group.get(group).into_iter().flatten() {
                let brought = policies.entry(*policy).or_insert_with(|| Some(Vec::new()));
                match (self.intent(*policy, *group), brought) {
                    (Some(Intent::Include), Some(groups)) => groups.push(*group),
                    (Some(Intent::Exclude), brought) => *brought = None,
                    (Some(Intent::Include), None) | (None, _) => {}
                }
            }
        }
        let reaching = policies.into_iter().filter_map(|(policy, groups)| {
            let mut groups = groups.filter(|groups| !groups.is_empty())?;
            groups.sort_unstable();
            Some((policy, self.policy(policy)?.revision, groups))
        });
        Reach { facts, policies: reaching.collect() }
    }

    fn set(&mut self, ordinals: &RoaringBitmap, effective: &Arc<Effective>, changed: &mut RoaringBitmap) {
        for ordinal in ordinals {
            // Membership of devices that are not folded yet; they are resolved when they come.
            let Some(number) = self.by_ordinal.get(ordinal as usize) else { break };
            let Some(device) = self.devices.get_mut(*number as usize) else { continue };
            if device.effective.etag != effective.etag {
                changed.insert(ordinal);
            }
            device.effective = effective.clone();
        }
    }

    fn forget_unused(&mut self) {
        if self.shared.len() > self.shared_max.max(SHARED_MIN) {
            self.shared.retain(|_, effective| Arc::strong_count(effective) > 1);
            self.shared_max = 2 * self.shared.len();
        }
    }

    fn hint(&self, changed: &RoaringBitmap, touched: &[Touched], asked: Vec<(DeviceId, Option<Arc<str>>)>) {
        let asked: Vec<_> = asked
            .into_iter()
            .filter_map(|(id, traceparent)| {
                let device = self.device(id)?;
                let told_anyway = device.told.ordinal.is_some_and(|ordinal| changed.contains(ordinal));
                (!told_anyway).then_some((id, device.effective.etag, traceparent))
            })
            .collect();
        let spread = spread(changed.len() + asked.len() as u64);
        let etag_changed = changed.iter().filter_map(|ordinal| {
            let device = self.devices.get(*self.by_ordinal.get(ordinal as usize)? as usize)?;
            let cause = touched.iter().rev().find(|touched| touched.ordinals.contains(ordinal));
            let traceparent = cause.and_then(|cause| cause.traceparent.clone());
            Some((device.id, Hint { etag: device.effective.etag, spread, traceparent }))
        });
        let asked = asked.into_iter().map(|(id, etag, traceparent)| (id, Hint { etag, spread, traceparent }));
        self.watches.hint(etag_changed.chain(asked).collect());
    }
}
